#include "story/source/mapped.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>

namespace forktail::story {
namespace {

std::uintptr_t page_size() {
  static const auto size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// What this thread has mapped. The handler runs in the thread that has touched it.
struct Window {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uintptr_t page = 0;
  volatile sig_atomic_t broken = 0;
};
thread_local Window window;

void put_zeros(int number, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (at >= window.begin && at < window.end) {
    const std::uintptr_t from = at / window.page * window.page;
    if (mmap(reinterpret_cast<void*>(from), window.end - from, PROT_READ,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
      window.broken = 1;
      return;
    }
  }
  signal(number, SIG_DFL);  // somebody else's: the access is tried again, and ends the process
}

void take_sigbus() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = put_zeros;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, nullptr);
  });
}

}  // namespace

Mapped::Mapped(int descriptor, std::uint64_t from, std::size_t size) {
  take_sigbus();
  const std::uint64_t base = from / page_size() * page_size();
  mapped_ = size + static_cast<std::size_t>(from - base);
  void* mapping =
      mmap(nullptr, mapped_, PROT_READ, MAP_PRIVATE, descriptor, static_cast<off_t>(base));
  if (mapping == MAP_FAILED) {
    return;
  }
  mapping_ = mapping;
  madvise(mapping_, mapped_, MADV_SEQUENTIAL);
  const auto begin = reinterpret_cast<std::uintptr_t>(mapping_);
  window.page = page_size();
  window.begin = begin;
  window.end = (begin + mapped_ + page_size() - 1) / page_size() * page_size();
  window.broken = 0;
  bytes_ = {static_cast<const char*>(mapping_) + (from - base), size};
}

Mapped::~Mapped() {
  if (mapping_ != nullptr) {
    munmap(mapping_, mapped_);
    window.begin = window.end = 0;
  }
}

bool Mapped::broken() { return window.broken != 0; }

}  // namespace forktail::story
