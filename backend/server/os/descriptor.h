// A file descriptor with an owner.
#pragma once

#include <unistd.h>

#include <span>
#include <utility>

namespace forktail::server {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) {
      ::close(fd_);
      fd_ = -1;
    }
  }

 private:
  int fd_ = -1;
};

// Closes every descriptor above 2 that is not in `keep`: what a fresh child must not hold open for
// others.
void close_all_but(std::span<const int> keep);

// Whoever started the program may have closed 0, 1 or 2: what is opened next would be taken for
// standard input or output. Puts /dev/null there.
void open_standard();

// Lets a descriptor through the next exec, or not.
void set_inheritable(int fd, bool inheritable);

}  // namespace forktail::server
