// How many workers a load calls for, and which requests are overdue.
#include <gtest/gtest.h>

#include "server/generation/overseer.h"

namespace forktail::server {
namespace {

using std::chrono::milliseconds;

class OverseerTest : public testing::Test {
 protected:
  OverseerTest() {
    options_.processes = 8;
    options_.cheaper = 2;
    options_.harakiri = milliseconds(1000);
    options_.harakiri_grace = milliseconds(500);
    for (int seat = 0; seat < slots_.seats(); ++seat) {
      slots_.seat(seat).pid = 4711 + seat;
    }
  }

  void busy(int workers) const {
    for (int seat = 0; seat < slots_.seats(); ++seat) {
      if (seat < workers) {
        slots_.slot(seat, 0).begin_reading(1);
      } else {
        slots_.slot(seat, 0).finish(true);
      }
    }
  }

  // So many looks in a row.
  static int after(int looks, Overseer& overseer, int active) {
    for (int i = 0; i < looks; ++i) {
      active = overseer.workers_for_load(active, 0);
    }
    return active;
  }

  // The clock that slots are written by, `ms` after the request's begin.
  static Overseer::Clock::time_point at(int ms) {
    return Overseer::Clock::time_point(milliseconds(ms));
  }

  Options options_;
  Slots slots_{12, 2};
};

TEST_F(OverseerTest, StartsOneMoreWhenAllAreBusy) {
  Overseer overseer(options_, slots_);
  busy(3);
  EXPECT_EQ(overseer.workers_for_load(3, 0), 4);
}

TEST_F(OverseerTest, StartsAsManyAsWaitButAtMostTwiceAsMany) {
  Overseer overseer(options_, slots_);
  busy(2);
  EXPECT_EQ(overseer.workers_for_load(4, 1), 5);
  EXPECT_EQ(overseer.workers_for_load(2, 100), 4);
}

TEST_F(OverseerTest, NeverStartsMoreThanProcesses) {
  Overseer overseer(options_, slots_);
  busy(8);
  EXPECT_EQ(overseer.workers_for_load(7, 100), 8);
  EXPECT_EQ(overseer.workers_for_load(8, 100), 8);
}

TEST_F(OverseerTest, TakesNoneAwayFromABusyServerThatWasGivenMore) {
  Overseer overseer(options_, slots_);
  busy(10);
  EXPECT_EQ(overseer.workers_for_load(10, 100), 10);
}

TEST_F(OverseerTest, LetsOneGoAfterTenCalmLooksDownToCheaper) {
  Overseer overseer(options_, slots_);
  busy(1);
  EXPECT_EQ(after(9, overseer, 4), 4);
  EXPECT_EQ(after(1, overseer, 4), 3);
  EXPECT_EQ(after(100, overseer, 4), 2);
}

TEST_F(OverseerTest, KeepsOneSpareAndForgetsTheCalmBeforeALoad) {
  Overseer overseer(options_, slots_);
  busy(3);
  EXPECT_EQ(after(100, overseer, 4), 4);
  busy(1);
  EXPECT_EQ(after(9, overseer, 4), 4);
  busy(3);
  EXPECT_EQ(after(1, overseer, 4), 4);
  busy(1);
  EXPECT_EQ(after(9, overseer, 4), 4);
}

TEST_F(OverseerTest, NamesAnOverdueRequestOnceAndOnceMoreWhenItsGraceIsOver) {
  Overseer overseer(options_, slots_);
  slots_.slot(3, 1).begin_reading(1);
  EXPECT_TRUE(overseer.overdue(at(999)).empty());
  const auto first = overseer.overdue(at(1001));
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].worker, 4);
  EXPECT_EQ(first[0].thread, 1);
  EXPECT_FALSE(first[0].final);
  EXPECT_TRUE(overseer.overdue(at(1499)).empty());
  const auto last = overseer.overdue(at(1501));
  ASSERT_EQ(last.size(), 1U);
  EXPECT_TRUE(last[0].final);
  EXPECT_TRUE(overseer.overdue(at(2000)).empty());
}

TEST_F(OverseerTest, KnowsTheNextRequestOfAThreadFromTheLast) {
  Overseer overseer(options_, slots_);
  slots_.slot(0, 0).begin_reading(1);
  EXPECT_EQ(overseer.overdue(at(1001)).size(), 1U);
  slots_.slot(0, 0).finish(true);
  EXPECT_TRUE(overseer.overdue(at(1002)).empty());
  slots_.slot(0, 0).begin_reading(1'000'000'000);
  EXPECT_TRUE(overseer.overdue(at(1500)).empty());
  EXPECT_EQ(overseer.overdue(at(2000)).size(), 1U);
}

TEST_F(OverseerTest, SeesNothingOverdueOnASeatWithoutAWorker) {
  Overseer overseer(options_, slots_);
  slots_.slot(0, 0).begin_reading(1);
  slots_.seat(0).pid = 0;
  EXPECT_TRUE(overseer.overdue(at(5000)).empty());
}

TEST_F(OverseerTest, DoesNotLookWhenNoOptionWantsIt) {
  options_.harakiri = milliseconds(0);
  options_.cheaper = 0;
  Overseer overseer(options_, slots_);
  EXPECT_FALSE(overseer.next());
  slots_.slot(0, 0).begin_reading(1);
  EXPECT_TRUE(overseer.overdue(at(5000)).empty());
}

}  // namespace
}  // namespace forktail::server
