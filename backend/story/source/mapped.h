// A piece of a file as the kernel has it, without a copy.
//
// Owns its mapping; of one thread, which may have one at a time. What stands behind the end of a
// file that is cut short meanwhile reads as zeros: the first of these takes SIGBUS for that, which
// is the process's own otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace forktail::story {

class Mapped {
 public:
  // `from` may be any place. Empty when such a file can not be mapped.
  Mapped(int descriptor, std::uint64_t from, std::size_t size);
  ~Mapped();
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  // Whether it was cut short, or the disk failed, while it was read.
  [[nodiscard]] static bool broken();

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_ = 0;
  std::string_view bytes_;
};

}  // namespace forktail::story
