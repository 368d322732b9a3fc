// How often a thread that finds nothing to do looks again before it sleeps.
//
// To wake a sleeping thread costs the one who sends the request, and most on a virtual machine,
// where a processor without work halts. So a thread first lets others run, with sched_yield(), and
// looks again: more often the next time when it was woken soon after it slept, and less often when
// it slept long. It does so for a short time only: one that waits for its turn to run is in no wait
// queue, and what comes meanwhile waits with it. A single yield that took that long means that the
// processor has enough to do: then it sleeps at once the next time too. Nothing ticks: without an
// event a thread sleeps for good. Measured in docs/dispatch.md. One object a thread.
#pragma once

#include <algorithm>
#include <chrono>

namespace forktail::server {

class BusyPoll {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr int kFewest = 2;
  static constexpr int kMost = 64;
  static constexpr std::chrono::microseconds kSoon{150};
  static constexpr std::chrono::microseconds kLongest{100};

  // When a thread has found nothing.
  void begin(Clock::time_point now) {
    begun_ = now;
    left_ = crowded_ ? 0 : looks_;
    crowded_ = false;
  }

  // Whether to yield and look (again).
  bool look_again() { return left_-- > 0; }

  void yielded(Clock::time_point from, Clock::time_point to) {
    crowded_ = to - from > kLongest;
    if (to - begun_ > kLongest) {
      left_ = 0;
    }
  }

  // When it slept after all and was woken.
  void woken(Clock::time_point now) {
    looks_ = now - begun_ < kSoon ? std::min(looks_ * 2, kMost) : std::max(looks_ / 2, kFewest);
  }

 private:
  Clock::time_point begun_;
  int looks_ = kFewest;
  int left_ = 0;
  bool crowded_ = false;
};

}  // namespace forktail::server
