#include "server/shared/exec_state.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

namespace forktail::server {

Descriptor write_exec_state(const char* what, const nlohmann::json& value) {
  const std::vector<std::uint8_t> bytes = nlohmann::json::to_cbor(value);
  Descriptor memfd(memfd_create("forktail-exec-state", MFD_CLOEXEC));
  if (!memfd ||
      pwrite(memfd.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw std::system_error(errno, std::generic_category(), std::string("cannot describe ") + what);
  }
  return memfd;
}

nlohmann::json read_exec_state(int descriptor) {
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, 4096> part;
  for (ssize_t size = 0; (size = pread(descriptor, part.data(), part.size(),
                                       static_cast<off_t>(bytes.size()))) > 0;) {
    bytes.insert(bytes.end(), part.begin(), part.begin() + size);
  }
  return nlohmann::json::from_cbor(bytes);
}

}  // namespace forktail::server
