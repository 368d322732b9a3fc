#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "server/generation/backoff.h"

namespace forktail::server {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, AWorkerThatServedIsReplacedAtOnce) {
  Backoff backoff;
  EXPECT_EQ(backoff.after_death(5s), 0ms);
  EXPECT_EQ(backoff.after_death(1h), 0ms);
}

TEST(Backoff, QuickDeathsWaitLongerEachTimeUpToHalfAMinute) {
  Backoff backoff;
  std::vector<std::chrono::milliseconds> waits;
  for (int i = 0; i < 12; ++i) {
    waits.push_back(backoff.after_death(10ms));
  }
  EXPECT_EQ(waits, (std::vector{0ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12800ms,
                                25600ms, 30000ms, 30000ms}));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(backoff.after_death(10ms), 30s) << "it never gives up, and never overflows";
  }
  EXPECT_EQ(backoff.after_death(6s), 0ms);
  EXPECT_EQ(backoff.after_death(10ms), 0ms) << "forgiven";
}

TEST(Backoff, OneThatHadBecomeReadyWaitsAtMostASecond) {
  Backoff backoff;
  for (int i = 0; i < 12; ++i) {
    EXPECT_LE(backoff.after_death(10ms, Backoff::kLongestOnceReady), 1s);
  }
  EXPECT_EQ(backoff.after_death(10ms, Backoff::kLongestOnceReady), 1s);
}

}  // namespace
}  // namespace forktail::server
