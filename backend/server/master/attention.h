// How much time has passed that the master's loop did not see: its processes were stopped, or the
// whole machine was, as a virtual one that is paused. Nobody had the chance to finish anything
// then, so such time counts for no deadline.
//
// Belongs to the loop, which says when it goes to sleep, for how long, and when it is awake again.
#pragma once

#include <chrono>
#include <optional>

namespace forktail::server {

class Attention {
 public:
  using Clock = std::chrono::steady_clock;

  // What a busy machine makes a loop wait is no pause.
  static constexpr std::chrono::milliseconds kUnnoticed{100};
  // How long the loop may sleep while a deadline is near: of a longer sleep nobody could tell how
  // much of it was a pause.
  static constexpr std::chrono::milliseconds kLongestSleep{500};

  // `timeout`: none means until something happens.
  void sleeps(Clock::time_point now, std::optional<Clock::duration> timeout) {
    sleeps_at_ = now;
    timeout_ = timeout;
  }

  // The same in the midst of its work, before it acts on deadlines.
  Clock::duration looks_up(Clock::time_point now) {
    const Clock::duration missed =
        awake_at_ ? beyond(now - *awake_at_, Clock::duration::zero()) : Clock::duration::zero();
    awake_at_ = now;
    return missed;
  }

  // How much was missed since it was awake the last time; zero when that is nothing to speak of.
  Clock::duration wakes(Clock::time_point now) {
    Clock::duration missed{};
    if (awake_at_) {
      missed = beyond(sleeps_at_ - *awake_at_, Clock::duration::zero());
    }
    if (timeout_) {
      missed += beyond(now - sleeps_at_, *timeout_);
    }
    awake_at_ = now;
    return missed;
  }

 private:
  static Clock::duration beyond(Clock::duration took, Clock::duration expected) {
    const Clock::duration more = took - expected;
    return more > kUnnoticed ? more : Clock::duration::zero();
  }

  std::optional<Clock::time_point> awake_at_;
  Clock::time_point sleeps_at_;
  std::optional<Clock::duration> timeout_;
};

}  // namespace forktail::server
