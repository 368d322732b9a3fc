#include <gtest/gtest.h>

#include "server/dispatch/busy_poll.h"

namespace forktail::server {
namespace {

using std::chrono::microseconds;

constexpr microseconds kShort{1};
constexpr microseconds kLong = BusyPoll::kLongest + microseconds(1);

class BusyPollTest : public testing::Test {
 protected:
  // How often the thread looks, and finds nothing, when each yield takes so long.
  int looks(microseconds yield = kShort) {
    int count = 0;
    poll_.begin(now_);
    while (poll_.look_again()) {
      poll_.yielded(now_, now_ + yield);
      now_ += yield;
      ++count;
    }
    return count;
  }

  void sleep(microseconds time) { poll_.woken(now_ += time); }

  BusyPoll poll_;
  BusyPoll::Clock::time_point now_;
};

TEST_F(BusyPollTest, LooksAFewTimesAndThenSleeps) {
  EXPECT_EQ(looks(), BusyPoll::kFewest);
  EXPECT_FALSE(poll_.look_again());
}

TEST_F(BusyPollTest, LooksTwiceAsOftenWhenItWasWokenSoon) {
  for (int often = BusyPoll::kFewest; often <= BusyPoll::kMost; often *= 2) {
    EXPECT_EQ(looks(), often);
    sleep(kShort);
  }
  EXPECT_EQ(looks(), BusyPoll::kMost);
}

TEST_F(BusyPollTest, LooksHalfAsOftenWhenItSleptLong) {
  for (int i = 0; i < 10; ++i) {
    looks();
    sleep(kShort);
  }
  for (int often = BusyPoll::kMost; often >= BusyPoll::kFewest; often /= 2) {
    EXPECT_EQ(looks(), often);
    sleep(BusyPoll::kSoon);
  }
  EXPECT_EQ(looks(), BusyPoll::kFewest);
}

TEST_F(BusyPollTest, LooksAsOftenAsBeforeWhenItDidNotSleep) {
  looks();
  sleep(kShort);
  poll_.begin(now_);
  ASSERT_TRUE(poll_.look_again());  // and finds something
  EXPECT_EQ(looks(), 2 * BusyPoll::kFewest);
}

TEST_F(BusyPollTest, LooksForAShortTimeOnly) {
  for (int i = 0; i < 10; ++i) {
    looks(microseconds(0));
    sleep(kShort);
  }
  EXPECT_EQ(looks(BusyPoll::kLongest / 4), 5);
  EXPECT_EQ(looks(microseconds(0)), BusyPoll::kMost) << "none of the yields was long";
}

TEST_F(BusyPollTest, ALongYieldIsTheLastOne) { EXPECT_EQ(looks(kLong), 1); }

TEST_F(BusyPollTest, AfterALongYieldTheThreadSleepsAtOnceOnce) {
  looks(kLong);
  EXPECT_EQ(looks(), 0);
  EXPECT_EQ(looks(), BusyPoll::kFewest);
}

TEST_F(BusyPollTest, ALongYieldCountsThoughSomethingWasFoundAfterIt) {
  poll_.begin(now_);
  ASSERT_TRUE(poll_.look_again());
  poll_.yielded(now_, now_ + kLong);
  EXPECT_EQ(looks(), 0);
}

}  // namespace
}  // namespace forktail::server
