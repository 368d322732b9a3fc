// Orders the lines of one process: who holds it may number a line and write it.
//
// A lock and a count in one, of all-zero memory. In memory that processes share the master takes a
// dead worker's to write what that has left. It is a number and no more: a lock of the C library's
// has pointers in it, which a worker could turn against the master. Nor is it believed: another
// worker may have written over it, so a value that no holder leaves counts as free, and who has to
// have it waits for a while and not for good. Any thread; nothing throws or allocates.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace forktail::log {

class Order {
 public:
  // Nobody may hold it: for memory that is used again, and in a child, for what a thread of the
  // parent may have held at the fork.
  void make() noexcept;

  // For memory of this process alone.
  void lock() noexcept;
  [[nodiscard]] bool try_lock() noexcept;
  // For shared memory: has it in any case, after `patience` by force.
  void lock_after(std::chrono::milliseconds patience) noexcept;
  void unlock() noexcept;
  // Takes it from a process that has ended.
  void inherit() noexcept { state_ = kHeld; }

  // The number of the process's last line; guarded by the lock.
  std::uint64_t seq;

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kHeld = 1;
  static constexpr std::uint32_t kWaitedFor = 2;  // held, and somebody may sleep

  std::atomic<std::uint32_t> state_;
};

}  // namespace forktail::log
