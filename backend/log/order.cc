#include "log/order.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace forktail::log {

namespace {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

// Not the private kind: the holder may be another process.
void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* patience = nullptr) noexcept {
  syscall(SYS_futex, &word, operation, value, patience, nullptr, 0);
}

}  // namespace

void Order::make() noexcept {
  state_ = kFree;
  seq = 0;
}

bool Order::try_lock() noexcept {
  std::uint32_t seen = kFree;
  return state_.compare_exchange_strong(seen, kHeld, std::memory_order_acquire) ||
         (seen > kWaitedFor &&
          state_.compare_exchange_strong(seen, kHeld, std::memory_order_acquire));
}

void Order::lock() noexcept {
  if (try_lock()) {
    return;
  }
  while (state_.exchange(kWaitedFor, std::memory_order_acquire) != kFree) {
    futex(state_, FUTEX_WAIT, kWaitedFor);
  }
}

void Order::lock_after(std::chrono::milliseconds patience) noexcept {
  using Clock = std::chrono::steady_clock;
  if (try_lock()) {
    return;
  }
  const Clock::time_point end = Clock::now() + patience;
  const auto held = [this] {
    const std::uint32_t before = state_.exchange(kWaitedFor, std::memory_order_acquire);
    return before == kHeld || before == kWaitedFor;
  };
  while (held()) {
    const auto left = std::chrono::nanoseconds(end - Clock::now());
    if (left.count() <= 0) {
      return;
    }
    const timespec pause{left / std::chrono::seconds(1), (left % std::chrono::seconds(1)).count()};
    futex(state_, FUTEX_WAIT, kWaitedFor, &pause);
  }
}

void Order::unlock() noexcept {
  if (state_.exchange(kFree, std::memory_order_release) == kWaitedFor) {
    futex(state_, FUTEX_WAKE, 1);
  }
}

}  // namespace forktail::log
