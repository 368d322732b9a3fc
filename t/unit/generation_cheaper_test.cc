// How many workers a load calls for.
#include <gtest/gtest.h>

#include "server/generation/cheaper.h"

namespace forktail::server {
namespace {

using std::chrono::milliseconds;

class CheaperTest : public testing::Test {
 protected:
  CheaperTest() {
    options_.processes = 8;
    options_.cheaper = 2;
  }

  void busy(int workers) const {
    for (int worker = 1; worker <= slots_.seats(); ++worker) {
      if (worker <= workers) {
        slots_.slot(worker, 0).begin_reading(1);
      } else {
        slots_.slot(worker, 0).finish(true);
      }
    }
  }

  // So many looks in a row.
  static int after(int looks, Cheaper& cheaper, int active) {
    for (int i = 0; i < looks; ++i) {
      active = cheaper.workers_for_load(active, 0);
    }
    return active;
  }

  Options options_;
  Slots slots_{12, 2};
};

TEST_F(CheaperTest, StartsOneMoreWhenAllAreBusy) {
  Cheaper cheaper(options_, slots_);
  busy(3);
  EXPECT_EQ(cheaper.workers_for_load(3, 0), 4);
}

TEST_F(CheaperTest, StartsAsManyAsWaitButAtMostTwiceAsMany) {
  Cheaper cheaper(options_, slots_);
  busy(2);
  EXPECT_EQ(cheaper.workers_for_load(4, 1), 5);
  EXPECT_EQ(cheaper.workers_for_load(2, 100), 4);
}

TEST_F(CheaperTest, NeverStartsMoreThanProcesses) {
  Cheaper cheaper(options_, slots_);
  busy(8);
  EXPECT_EQ(cheaper.workers_for_load(7, 100), 8);
  EXPECT_EQ(cheaper.workers_for_load(8, 100), 8);
}

TEST_F(CheaperTest, TakesNoneAwayFromABusyServerThatWasGivenMore) {
  Cheaper cheaper(options_, slots_);
  busy(10);
  EXPECT_EQ(cheaper.workers_for_load(10, 100), 10);
}

TEST_F(CheaperTest, LetsOneGoAfterTenCalmLooksDownToCheaper) {
  Cheaper cheaper(options_, slots_);
  busy(1);
  EXPECT_EQ(after(9, cheaper, 4), 4);
  EXPECT_EQ(after(1, cheaper, 4), 3);
  EXPECT_EQ(after(100, cheaper, 4), 2);
}

TEST_F(CheaperTest, KeepsOneSpareAndForgetsTheCalmBeforeALoad) {
  Cheaper cheaper(options_, slots_);
  busy(3);
  EXPECT_EQ(after(100, cheaper, 4), 4);
  busy(1);
  EXPECT_EQ(after(9, cheaper, 4), 4);
  busy(3);
  EXPECT_EQ(after(1, cheaper, 4), 4);
  busy(1);
  EXPECT_EQ(after(9, cheaper, 4), 4);
}

TEST_F(CheaperTest, DoesNotLookWithoutTheOptionAndOnceASecondWithIt) {
  Cheaper cheaper(options_, slots_);
  ASSERT_TRUE(cheaper.next());
  const auto first = *cheaper.next();
  EXPECT_FALSE(cheaper.due(first - milliseconds(1)));
  EXPECT_TRUE(cheaper.due(first));
  EXPECT_FALSE(cheaper.due(first)) << "it has just looked";
  EXPECT_EQ(*cheaper.next(), first + milliseconds(1000));
  options_.cheaper = 0;
  EXPECT_FALSE(Cheaper(options_, slots_).next());
}

}  // namespace
}  // namespace forktail::server
