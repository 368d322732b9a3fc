// The system calls and clocks that the log depends on, behind one seam, so that tests can make a
// disk full, a write short or a second pass. Stateless; any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>

namespace forktail::log {

class System {
 public:
  System() = default;
  virtual ~System() = default;
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  // As write(2) and dup3(2): -1 and errno when they fail.
  virtual ssize_t write(int descriptor, const void* bytes, std::size_t size);
  virtual int dup3(int from, int to, int flags);

  virtual std::chrono::steady_clock::time_point steady_now();
  virtual std::chrono::system_clock::time_point wall_now();
};

// The kernel's own.
System& real_system();

}  // namespace forktail::log
