// Orders the lines of one process: who holds it may number a line and write it.
//
// A lock and a count in one. In memory that processes share the master takes a dead worker's to
// write what that has left: a process that dies as the holder leaves it usable. Memory becomes an
// Order by make() or make_shared(). Any thread; nothing throws or allocates.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace forktail::log {

class Order {
 public:
  // Nobody may hold it: for new memory, and in a child, for what a thread of the parent may have
  // held at the fork.
  void make() noexcept;
  // The same for all processes that share the memory.
  void make_shared() noexcept;

  void lock() noexcept;
  [[nodiscard]] bool try_lock() noexcept;
  void unlock() noexcept { pthread_mutex_unlock(&mutex_); }

  // The number of the process's last line; guarded by the lock.
  std::uint64_t seq;

 private:
  [[nodiscard]] bool taken(int outcome) noexcept;

  pthread_mutex_t mutex_;
};

}  // namespace forktail::log
