#include "server/child/app_image.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace forktail::server {

namespace {

bool copy_all(int from, int to, std::size_t size) {
  std::size_t left = size;
  while (left > 0) {
    const ssize_t copied = sendfile(to, from, nullptr, left);
    if (copied <= 0 && (copied == 0 || errno != EINTR)) {
      return false;
    }
    left -= copied > 0 ? static_cast<std::size_t>(copied) : 0;
  }
  return true;
}

// In its list of libraries, or where to look for them.
bool names_its_directory(int copy, std::size_t size) {
  void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, copy, 0);
  if (bytes == MAP_FAILED) {
    return true;
  }
  constexpr std::string_view kOrigin = "$ORIGIN";
  constexpr std::string_view kBraced = "${ORIGIN}";
  const bool found = memmem(bytes, size, kOrigin.data(), kOrigin.size()) != nullptr ||
                     memmem(bytes, size, kBraced.data(), kBraced.size()) != nullptr;
  munmap(bytes, size);
  return found;
}

}  // namespace

Descriptor copy_app(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!file || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
    return {};
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  const std::string name = path.substr(path.rfind('/') + 1);
  Descriptor copy(memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy || !copy_all(file.get(), copy.get(), size) ||
      fcntl(copy.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
          0 ||
      names_its_directory(copy.get(), size)) {
    return {};
  }
  return copy;
}

void* open_app(const std::string& path, int copy) {
  constexpr int kHow = RTLD_NOW | RTLD_LOCAL;
  if (copy < 0) {
    return dlopen(path.c_str(), kHow);
  }
  // An unusual way to write it: the loader takes equal names for the same library.
  void* library = dlopen(fmt::format("/proc/self/./fd/{}", copy).c_str(), kHow);
  link_map* map = nullptr;
  if (library == nullptr) {
    return dlopen(path.c_str(), kHow);
  }
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0) {
    map->l_name = strdup(path.c_str());  // it is never unloaded
  }
  return library;
}

}  // namespace forktail::server
