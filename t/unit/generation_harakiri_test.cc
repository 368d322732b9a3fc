// Which requests are overdue.
#include <gtest/gtest.h>

#include "server/generation/harakiri.h"

namespace forktail::server {
namespace {

using std::chrono::milliseconds;

class HarakiriTest : public testing::Test {
 protected:
  HarakiriTest() {
    options_.harakiri = milliseconds(1000);
    options_.harakiri_grace = milliseconds(500);
  }

  // The clock that slots are written by, `ms` after the request's begin.
  static Harakiri::Clock::time_point at(int ms) {
    return Harakiri::Clock::time_point(milliseconds(ms));
  }

  Options options_;
  Slots slots_{12, 2};
};

TEST_F(HarakiriTest, NamesAnOverdueRequestOnceAndOnceMoreWhenItsGraceIsOver) {
  Harakiri harakiri(options_, slots_);
  slots_.slot(4, 1).begin_reading(1);
  EXPECT_TRUE(harakiri.overdue(at(999), {1, 4}).empty());
  const auto first = harakiri.overdue(at(1001), {1, 4});
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].worker, 4);
  EXPECT_EQ(first[0].thread, 1);
  EXPECT_FALSE(first[0].final);
  EXPECT_TRUE(harakiri.overdue(at(1499), {1, 4}).empty());
  const auto last = harakiri.overdue(at(1501), {1, 4});
  ASSERT_EQ(last.size(), 1U);
  EXPECT_TRUE(last[0].final);
  EXPECT_TRUE(harakiri.overdue(at(2000), {1, 4}).empty());
}

TEST_F(HarakiriTest, KnowsTheNextRequestOfAThreadFromTheLast) {
  Harakiri harakiri(options_, slots_);
  slots_.slot(1, 0).begin_reading(1);
  EXPECT_EQ(harakiri.overdue(at(1001), {1, 4}).size(), 1U);
  slots_.slot(1, 0).finish(true);
  EXPECT_TRUE(harakiri.overdue(at(1002), {1, 4}).empty());
  slots_.slot(1, 0).begin_reading(1'000'000'000);
  EXPECT_TRUE(harakiri.overdue(at(1500), {1, 4}).empty());
  EXPECT_EQ(harakiri.overdue(at(2000), {1, 4}).size(), 1U);
}

TEST_F(HarakiriTest, SeesNothingOverdueOnASeatWithoutAWorker) {
  Harakiri harakiri(options_, slots_);
  slots_.slot(1, 0).begin_reading(1);
  EXPECT_TRUE(harakiri.overdue(at(5000), {4}).empty());
}

TEST_F(HarakiriTest, CountsNoTimeInWhichNobodyCouldDoAnything) {
  Harakiri harakiri(options_, slots_);
  slots_.slot(1, 0).begin_reading(1);
  harakiri.postpone(at(5900), milliseconds(5000));
  slots_.slot(2, 0).begin_reading(5'900'000'001);  // after that pause
  harakiri.postpone(at(6500), milliseconds(100));
  EXPECT_TRUE(harakiri.overdue(at(6099), {1, 2}).empty());
  const auto first = harakiri.overdue(at(6101), {1, 2});
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].worker, 1);
  EXPECT_EQ(harakiri.overdue(at(6999), {1, 2}).size(), 1U) << "whose grace is over";
  const auto second = harakiri.overdue(at(7001), {1, 2});
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].worker, 2);
}

TEST_F(HarakiriTest, DoesNotLookWithoutTheOption) {
  options_.harakiri = milliseconds(0);
  Harakiri harakiri(options_, slots_);
  EXPECT_FALSE(harakiri.next());
  slots_.slot(1, 0).begin_reading(1);
  EXPECT_TRUE(harakiri.overdue(at(5000), {1, 4}).empty());
}

TEST_F(HarakiriTest, LooksTenTimesAsOftenAsARequestHasTime) {
  Harakiri harakiri(options_, slots_);
  ASSERT_TRUE(harakiri.next());
  const auto first = *harakiri.next();
  EXPECT_FALSE(harakiri.due(first - milliseconds(1)));
  EXPECT_TRUE(harakiri.due(first));
  EXPECT_EQ(*harakiri.next(), first + milliseconds(100));
}

}  // namespace
}  // namespace forktail::server
