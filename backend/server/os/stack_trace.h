// Where a thread is: the return addresses on its stack, each as the object that it lies in and the
// offset there, "libshop.so+0x1234", which is what `addr2line -Cfe libshop.so 0x1234` takes.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "forktail/api.h"

namespace forktail::server {

// Reads which objects are mapped where, and makes traces safe to take in signal handlers. To be
// called before the first trace, and again after objects were loaded, by one thread at a time.
void note_loaded_objects();

// The calling thread's stack. Taken in a signal handler, with the third argument that it was given,
// it begins where the signal struck, else with the caller. Async-signal-safe after
// note_loaded_objects(): it allocates nothing. An address in an object that was loaded since stands
// alone: "0x7f0012345678".
class StackTrace {
 public:
  explicit StackTrace(const void* signal_context = nullptr) noexcept;
  StackTrace(const StackTrace&) = delete;
  StackTrace& operator=(const StackTrace&) = delete;

  [[nodiscard]] std::span<const std::string_view> frames() const FORKTAIL_LIFETIMEBOUND {
    return std::span(frames_).first(count_);
  }

 private:
  static constexpr std::size_t kMost = 40;  // frames; more would not fit into a line
  static constexpr std::size_t kTextSize = 96;

  std::size_t count_ = 0;
  std::array<std::string_view, kMost> frames_;
  std::array<std::array<char, kTextSize>, kMost> texts_;
};

}  // namespace forktail::server
