#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <vector>

#include "server/os/descriptor.h"
#include "server/os/waiting.h"

namespace forktail::server {
namespace {

using namespace std::chrono_literals;
using Clock = Waiting::Clock;

TEST(Earliest, IsNothingOfNothingAndElseTheFirstThatThereIs) {
  const auto now = Clock::now();
  EXPECT_EQ(earliest({}), std::nullopt);
  EXPECT_EQ(earliest({std::nullopt, std::nullopt}), std::nullopt);
  EXPECT_EQ(earliest({now + 2s, std::nullopt, now + 1s, now + 3s}), now + 1s);
}

TEST(Waiting, LastsUntilSomethingHappensWithoutADeadline) {
  Waiting waiting;
  EXPECT_EQ(waiting.timeout(), std::nullopt);
  waiting.until(std::nullopt);
  EXPECT_EQ(waiting.timeout(), std::nullopt);
}

TEST(Waiting, LastsUntilTheEarliestDeadlineAndNotAnInstantLess) {
  Waiting waiting;
  waiting.at_most(1h);
  EXPECT_EQ(waiting.timeout(), 1min) << "it is looked again then";
  waiting.at_most(30s);
  waiting.until(Clock::now() + 40s);
  ASSERT_TRUE(waiting.timeout());
  EXPECT_LE(*waiting.timeout(), 30s);
  EXPECT_GT(*waiting.timeout(), 20s);
}

TEST(Waiting, IsOverAtOnceWhenADeadlineHasPassed) {
  Waiting waiting;
  waiting.until(Clock::now() - 1s);
  EXPECT_EQ(waiting.timeout(), 0ms);
  EXPECT_TRUE(waiting.sleep(waiting.timeout()));
}

// As the master's parts are: what it watches, and when it is to be called again.
struct Part {
  int descriptor;
  void watch(std::vector<pollfd>& watched) const { watched.push_back({descriptor, POLLIN, 0}); }
  static Deadline next_deadline() { return Clock::now() + 30s; }
};

TEST(Waiting, EndsWhenAPartHasSomethingToRead) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const Descriptor reading(ends[0]);
  const Descriptor writing(ends[1]);
  ASSERT_EQ(write(writing.get(), "x", 1), 1);
  Waiting waiting;
  waiting.until_event_of(Part{reading.get()});
  EXPECT_EQ(waiting.watched().size(), 1U);
  const auto before = Clock::now();
  EXPECT_TRUE(waiting.sleep(waiting.timeout()));
  EXPECT_LT(Clock::now() - before, 20s);
  EXPECT_EQ(waiting.watched()[0].revents, POLLIN);
}

}  // namespace
}  // namespace forktail::server
