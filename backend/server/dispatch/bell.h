// What wakes the threads of a generation that sleep in its ready list, so that they look at their
// orders: a source of the epoll instance that is ready for all of them as long as it rings.
//
// The master's, one a generation, in its loop. It rings when an order is given and until no thread
// sleeps through one; for a process that does not wake, since it is stopped, it rings now and then,
// for each time costs the other threads a look.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "server/os/descriptor.h"

namespace forktail::server {

// What epoll reports for it.
constexpr std::uint64_t kBellEvent = ~std::uint64_t{0};

class Bell {
 public:
  using Clock = std::chrono::steady_clock;

  // In that epoll instance, which must outlive it. Throws std::system_error.
  explicit Bell(int epoll);
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  // `needed`: a thread sleeps that has an order. When to be called again, at once perhaps; nothing
  // when it need not ring.
  void attend(Clock::time_point now, bool needed);
  [[nodiscard]] std::optional<Clock::time_point> next_deadline(Clock::time_point now,
                                                               bool needed) const;

 private:
  void ring(Clock::time_point now);
  void set(bool rings);

  const int epoll_;
  Descriptor clapper_;  // always ready
  bool rings_ = false;
  Clock::time_point rings_until_;
  std::optional<Clock::time_point> look_at_;
};

}  // namespace forktail::server
