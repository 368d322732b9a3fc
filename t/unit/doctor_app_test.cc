// What the examination of an application stands on: its time limit, and names for places in code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "doctor/app/patience.h"
#include "doctor/app/symbols.h"

namespace forktail::doctor {
namespace {

using ::testing::HasSubstr;

// A function whose name is known.
int somewhere() { return 1; }

TEST(DoctorSymbols, NameTheLineThatCalledTheLibrary) {
  Symbols symbols;
  const Frame here = frame_of(reinterpret_cast<const void*>(&somewhere));
  const Frame library{"/usr/lib/libnone.so.1", 0x10, "none_connect"};
  const std::string maker = maker_in_words({library, here}, here.object, symbols);
  EXPECT_THAT(maker, HasSubstr("libnone.so.1 (none_connect), called at "));
  EXPECT_THAT(maker, HasSubstr("somewhere("));
  EXPECT_EQ(maker_in_words({}, here.object, symbols), "");
}

TEST(DoctorPatience, EndsWithItsTimeAndBySignals) {
  Patience short_one(std::chrono::milliseconds(20));
  EXPECT_THROW(
      {
        for (;;) {
          short_one.pause(std::chrono::milliseconds(1));
        }
      },
      OutOfPatience);
  EXPECT_EQ(short_one.left().count(), 0);
}

TEST(DoctorPatience, TakesASignalForAnEndInGoodOrder) {
  Patience patience(std::chrono::minutes(1));
  kill(getpid(), SIGTERM);
  try {
    patience.pause(std::chrono::seconds(10));
    FAIL() << "it went on";
  } catch (const OutOfPatience& out) {
    EXPECT_STREQ(out.what(), "ended by SIGTERM");
  }
}

}  // namespace
}  // namespace forktail::doctor
