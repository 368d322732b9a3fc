// How long to wait before a worker that died is started again.
//
// A worker that served for a while is replaced at once. One that dies again soon after its start
// waits longer each time, from 100 ms up to 30 s, and for ever is never given up. A value of the
// master's.
#pragma once

#include <algorithm>
#include <chrono>

namespace forktail::server {

class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds kLongest{30'000};
  // For one that had become ready: what kills it is a request or somebody outside, and as long as
  // it is away nobody is served.
  static constexpr std::chrono::milliseconds kLongestOnceReady{1'000};

  // `lived`: from the start to the death. Returns the wait before the next start, up to `longest`.
  std::chrono::milliseconds after_death(Clock::duration lived,
                                        std::chrono::milliseconds longest = kLongest) {
    if (lived >= kHealthy) {
      quick_deaths_ = 0;
      return {};
    }
    const std::chrono::milliseconds wait =
        quick_deaths_ == 0 ? std::chrono::milliseconds(0)
                           : std::min(kFirst * (1 << std::min(quick_deaths_ - 1, 10)), longest);
    ++quick_deaths_;
    return wait;
  }

 private:
  static constexpr std::chrono::seconds kHealthy{5};
  static constexpr std::chrono::milliseconds kFirst{100};

  int quick_deaths_ = 0;
};

}  // namespace forktail::server
