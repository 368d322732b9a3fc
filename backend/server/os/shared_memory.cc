#include "server/os/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace forktail::server {

namespace {

[[noreturn]] void refuse(const char* what) {
  throw std::system_error(errno, std::generic_category(),
                          std::string("cannot share memory for ") + what);
}

Descriptor make_memfd(const char* what, std::size_t size) {
  // Sealed, or any process that has it could take the memory from under all the others (SIGBUS).
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  Descriptor memfd(memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd || ftruncate(memfd.get(), static_cast<off_t>(size)) != 0 ||
      fcntl(memfd.get(), F_ADD_SEALS, kSeals) != 0) {
    refuse(what);
  }
  return memfd;
}

}  // namespace

SharedMemory::SharedMemory(const char* what, std::size_t size)
    : SharedMemory(what, size, make_memfd(what, size)) {}

SharedMemory::SharedMemory(const char* what, std::size_t size, Descriptor memfd)
    : memfd_(std::move(memfd)), size_(size) {
  void* base = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_.get(), 0);
  if (base == MAP_FAILED) {
    refuse(what);
  }
  base_ = static_cast<std::byte*>(base);
}

SharedMemory::~SharedMemory() { release(); }

void SharedMemory::release() {
  if (base_ != nullptr) {
    munmap(base_, size_);
    base_ = nullptr;
    memfd_.reset();
  }
}

}  // namespace forktail::server
