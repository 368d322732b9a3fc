// Whether a thread that finds nothing to do looks once more before it sleeps.
//
// To wake a sleeping thread costs the one who sends the request, and most on a virtual machine,
// where a processor without work halts. So a thread first lets others run, with sched_yield(), and
// looks again, a few times. A yield that took long means that the processor has enough to do. Then
// the thread sleeps, at once the next time too: one that waits for its turn to run is in no wait
// queue, and what comes meanwhile waits with it. Nothing ticks: without an event a thread sleeps
// for good. Measured in docs/dispatch.md. One object a thread.
#pragma once

#include <chrono>

namespace forktail::server {

class BusyPoll {
 public:
  static constexpr int kLooks = 8;
  static constexpr std::chrono::microseconds kLongYield{100};

  // When a thread has found nothing.
  void begin() {
    looks_ = crowded_ ? 0 : kLooks;
    crowded_ = false;
  }

  // Whether to yield and look (again).
  bool look_again() { return looks_-- > 0; }

  void yielded(std::chrono::nanoseconds took) {
    if (took > kLongYield) {
      looks_ = 0;
      crowded_ = true;
    }
  }

 private:
  int looks_ = 0;
  bool crowded_ = false;
};

}  // namespace forktail::server
