#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "story/source/byte_stream.h"

namespace forktail::story {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

class RangeStream final : public ByteStream {
 public:
  RangeStream(int descriptor, std::uint64_t from, std::uint64_t to)
      : descriptor_(descriptor), at_(from), to_(to) {}

  std::size_t read(std::span<char> out) override {
    const std::size_t wanted = std::min<std::uint64_t>(out.size(), to_ - std::min(at_, to_));
    ssize_t count = 0;
    do {
      count = pread(descriptor_, out.data(), wanted, static_cast<off_t>(at_));
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
      trouble_ = "can not be read: " + reason(errno);
      return 0;
    }
    if (count == 0 && wanted > 0) {
      trouble_ = "was truncated while it was read";
    }
    at_ += static_cast<std::uint64_t>(count);
    return static_cast<std::size_t>(count);
  }

 private:
  int descriptor_;
  std::uint64_t at_;
  std::uint64_t to_;
};

class DescriptorStream final : public ByteStream {
 public:
  explicit DescriptorStream(int descriptor) : descriptor_(descriptor) {}

  std::size_t read(std::span<char> out) override {
    ssize_t count = 0;
    do {
      count = ::read(descriptor_, out.data(), out.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
      trouble_ = "can not be read: " + reason(errno);
    }
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }

 private:
  int descriptor_;
};

}  // namespace

std::unique_ptr<ByteStream> read_range(int descriptor, std::uint64_t from, std::uint64_t to) {
  return std::make_unique<RangeStream>(descriptor, from, to);
}

std::unique_ptr<ByteStream> read_descriptor(int descriptor) {
  return std::make_unique<DescriptorStream>(descriptor);
}

}  // namespace forktail::story
