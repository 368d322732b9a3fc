#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "doctor/limited.h"

namespace forktail::doctor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What is returned for work that is late is 100, for work that was killed its signal.
int limited(std::function<int()> work, milliseconds limit) {
  return run_limited({std::move(work), [] { return 100; }, [](int signal) { return signal; }},
                     limit);
}

TEST(DoctorLimited, WorkThatEndsInTimeSaysWhatIsReturned) {
  EXPECT_EQ(limited([] { return 7; }, seconds(30)), 7);
}

TEST(DoctorLimited, WorkThatDoesNotEndIsKilledWhateverItIgnores) {
  const auto forever = [] {
    signal(SIGTERM, SIG_IGN);
    for (;;) {
      pause();
    }
    return 0;
  };
  EXPECT_EQ(limited(forever, milliseconds(50)), 100);
}

TEST(DoctorLimited, WorkThatCrashesIsTold) {
  EXPECT_EQ(limited([] { return raise(SIGKILL); }, seconds(30)), SIGKILL);
}

}  // namespace
}  // namespace forktail::doctor
