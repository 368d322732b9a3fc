// What a loop sleeps for, once: descriptors that become readable, and the earliest of deadlines.
//
// A value of one thread. until_event_of() takes whatever has watch() and next_deadline().
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "server/os/earliest.h"

namespace forktail::server {

class Waiting {
 public:
  using Clock = std::chrono::steady_clock;

  void until_readable(int descriptor) { watched_.push_back({descriptor, POLLIN, 0}); }
  void until(const Deadline& deadline) { deadline_ = earliest({deadline_, deadline}); }
  void at_most(std::chrono::milliseconds time) { until(Clock::now() + time); }
  template <typename Part>
  void until_event_of(const Part& part) {
    part.watch(watched_);
    until(part.next_deadline());
  }
  std::vector<pollfd>& watched() { return watched_; }

  // How long that is from now on; nothing means until something happens.
  [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const {
    using std::chrono::milliseconds;
    constexpr milliseconds kLongest{60'000};
    if (!deadline_) {
      return std::nullopt;
    }
    return std::clamp(std::chrono::ceil<milliseconds>(*deadline_ - Clock::now()), milliseconds(0),
                      kLongest);
  }
  // False with errno when it could not.
  bool sleep(std::optional<std::chrono::milliseconds> timeout) {
    return poll(watched_.data(), watched_.size(),
                timeout ? static_cast<int>(timeout->count()) : -1) >= 0;
  }

 private:
  std::vector<pollfd> watched_;
  Deadline deadline_;
};

}  // namespace forktail::server
