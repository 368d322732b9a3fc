#include <gtest/gtest.h>

#include "server/master/attention.h"

namespace forktail::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = Attention::Clock;

class AttentionTest : public ::testing::Test {
 protected:
  void sleep(std::optional<Clock::duration> timeout) { attention_.sleeps(now_, timeout); }
  Clock::duration wake_after(Clock::duration passed) {
    now_ += passed;
    return attention_.wakes(now_);
  }
  Clock::time_point now_{seconds(1000)};
  Attention attention_;
};

TEST_F(AttentionTest, MissesNothingWhenItWakesInTime) {
  sleep(milliseconds(500));
  EXPECT_EQ(wake_after(milliseconds(500)), Clock::duration::zero());
  sleep(milliseconds(500));
  EXPECT_EQ(wake_after(milliseconds(10)), Clock::duration::zero());
}

TEST_F(AttentionTest, MissesWhatASleepIsLongerThanItWasToBe) {
  sleep(milliseconds(500));
  EXPECT_EQ(wake_after(seconds(5)), milliseconds(4500));
  sleep(milliseconds(500));
  EXPECT_EQ(wake_after(milliseconds(500)), Clock::duration::zero()) << "each pause counts once";
}

TEST_F(AttentionTest, DoesNotCountWhatABusyMachineTakes) {
  sleep(milliseconds(500));
  EXPECT_EQ(wake_after(milliseconds(600)), Clock::duration::zero());
}

TEST_F(AttentionTest, SleepsUntilSomethingHappensWithoutMissingIt) {
  sleep(std::nullopt);
  EXPECT_EQ(wake_after(seconds(3600)), Clock::duration::zero());
}

TEST_F(AttentionTest, MissesAPauseBetweenTwoSleeps) {
  sleep(milliseconds(500));
  wake_after(milliseconds(1));
  now_ += seconds(7);
  sleep(milliseconds(500));
  EXPECT_EQ(wake_after(milliseconds(1)), seconds(7));
}

TEST_F(AttentionTest, AddsBothUp) {
  sleep(seconds(0));
  wake_after(seconds(0));
  now_ += seconds(2);
  sleep(seconds(1));
  EXPECT_EQ(wake_after(seconds(4)), seconds(5));
}

}  // namespace
}  // namespace forktail::server
