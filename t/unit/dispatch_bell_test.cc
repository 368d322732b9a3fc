// When the bell of a generation rings, and for how long.
#include <gtest/gtest.h>
#include <sys/epoll.h>

#include "server/dispatch/bell.h"

namespace forktail::server {
namespace {

using namespace std::chrono_literals;

class BellTest : public ::testing::Test {
 protected:
  // What a thread that looks would be told.
  bool rings() {
    epoll_event event{};
    return epoll_wait(epoll_.get(), &event, 1, 0) == 1 && event.data.u64 == kBellEvent;
  }

  Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  Bell bell_{epoll_.get()};
  Bell::Clock::time_point now_;
};

TEST_F(BellTest, IsSilentAsLongAsNobodyIsToWake) {
  EXPECT_FALSE(rings());
  bell_.attend(now_, false);
  EXPECT_FALSE(rings());
  EXPECT_FALSE(bell_.next_deadline(now_, false));
}

TEST_F(BellTest, RingsForAllUntilNobodySleeps) {
  EXPECT_EQ(bell_.next_deadline(now_, true), now_);
  bell_.attend(now_, true);
  EXPECT_TRUE(rings());
  EXPECT_TRUE(rings()) << "the next thread";
  bell_.attend(now_ + 1ms, false);
  EXPECT_FALSE(rings());
}

TEST_F(BellTest, RestsBetweenTwoAttemptsForOneThatDoesNotWake) {
  auto ringing = 0ms;
  for (auto at = 0ms; at < 10s; at += 1ms) {
    bell_.attend(now_ + at, true);
    ringing += rings() ? 1ms : 0ms;
  }
  EXPECT_GE(ringing, 300ms);
  EXPECT_LE(ringing, 1000ms);
}

}  // namespace
}  // namespace forktail::server
