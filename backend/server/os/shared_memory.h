// Zeroed memory that the processes of a generation share, also over an exec: a mapped memfd.
#pragma once

#include <cstddef>

#include "server/os/descriptor.h"

namespace forktail::server {

class SharedMemory {
 public:
  // Throws std::system_error, naming `what`.
  SharedMemory(const char* what, std::size_t size);
  // Maps a memfd that was inherited, and owns it.
  SharedMemory(const char* what, std::size_t size, Descriptor memfd);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Gives it up before its time: nobody here may use it any more.
  void release();

  [[nodiscard]] std::byte* base() const { return base_; }
  [[nodiscard]] int memfd() const { return memfd_.get(); }

 private:
  Descriptor memfd_;
  std::size_t size_;
  std::byte* base_;
};

}  // namespace forktail::server
