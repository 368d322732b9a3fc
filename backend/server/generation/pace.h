// A look at regular intervals, or never. A value of the master's.
#pragma once

#include <chrono>
#include <optional>

namespace forktail::server {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  // 0: never.
  explicit Pace(std::chrono::milliseconds every) : every_(every) { look(Clock::now()); }

  [[nodiscard]] std::optional<Clock::time_point> next() const { return next_; }

  // Whether it is time; true once an interval.
  bool due(Clock::time_point now) {
    if (!next_ || *next_ > now) {
      return false;
    }
    look(now);
    return true;
  }

 private:
  void look(Clock::time_point now) {
    if (every_.count() > 0) {
      next_ = now + every_;
    }
  }

  std::chrono::milliseconds every_;
  std::optional<Clock::time_point> next_;
};

}  // namespace forktail::server
