#include <gtest/gtest.h>

#include "server/busy_poll.h"

namespace forktail::server {
namespace {

using std::chrono::microseconds;

// How often a thread that finds nothing looks, when each yield takes so long.
int looks(BusyPoll& poll, microseconds yield) {
  int count = 0;
  poll.begin();
  while (poll.look_again()) {
    poll.yielded(yield);
    ++count;
  }
  return count;
}

TEST(BusyPoll, LooksAFewTimesAndThenSleeps) {
  BusyPoll poll;
  EXPECT_EQ(looks(poll, microseconds(1)), BusyPoll::kLooks);
  EXPECT_FALSE(poll.look_again());
}

TEST(BusyPoll, ALongYieldIsTheLastOne) {
  BusyPoll poll;
  EXPECT_EQ(looks(poll, BusyPoll::kLongYield + microseconds(1)), 1);
}

TEST(BusyPoll, AfterALongYieldTheThreadSleepsAtOnceOnce) {
  BusyPoll poll;
  looks(poll, BusyPoll::kLongYield + microseconds(1));
  EXPECT_EQ(looks(poll, microseconds(1)), 0);
  EXPECT_EQ(looks(poll, microseconds(1)), BusyPoll::kLooks);
}

TEST(BusyPoll, ALongYieldCountsThoughSomethingWasFoundAfterIt) {
  BusyPoll poll;
  poll.begin();
  ASSERT_TRUE(poll.look_again());
  poll.yielded(BusyPoll::kLongYield + microseconds(1));
  EXPECT_EQ(looks(poll, microseconds(1)), 0);
}

}  // namespace
}  // namespace forktail::server
