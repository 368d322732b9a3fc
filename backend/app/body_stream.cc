#include "forktail/body_stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace forktail {

std::size_t BodyStream::read(std::span<char> out) {
  const std::string_view rest = body_.substr(position_, out.size());
  std::size_t taken = 0;
  if (file_ < 0) {
    taken = rest.copy(out.data(), rest.size());
  }
  // Not from the mapping: its pages would count as the worker's until the end of the request.
  while (taken < rest.size()) {
    const ssize_t size = pread(file_, out.data() + taken, rest.size() - taken,
                               static_cast<off_t>(position_ + taken));
    if (size > 0) {
      taken += static_cast<std::size_t>(size);
    } else if (size == 0 || errno != EINTR) {
      throw std::system_error(size == 0 ? EIO : errno, std::generic_category(),
                              "a spooled request body can not be read back");
    }
  }
  position_ += taken;
  return taken;
}

}  // namespace forktail
