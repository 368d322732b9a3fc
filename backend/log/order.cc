#include "log/order.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace forktail::log {

namespace {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

// Not the private kind: the holder may be another process.
void futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) noexcept {
  syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

}  // namespace

void Order::make() noexcept {
  state_ = kFree;
  seq = 0;
}

bool Order::try_lock() noexcept {
  std::uint32_t expected = kFree;
  return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire);
}

void Order::lock() noexcept {
  if (try_lock()) {
    return;
  }
  while (state_.exchange(kWaitedFor, std::memory_order_acquire) != kFree) {
    futex(state_, FUTEX_WAIT, kWaitedFor);
  }
}

void Order::unlock() noexcept {
  if (state_.exchange(kFree, std::memory_order_release) == kWaitedFor) {
    futex(state_, FUTEX_WAKE, 1);
  }
}

}  // namespace forktail::log
