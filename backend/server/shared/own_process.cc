#include "server/shared/own_process.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

namespace forktail::server {

namespace {

constexpr std::size_t kPage = 4096;

// Wiped in a child; by getpid() alone where the kernel can not do that.
std::atomic<unsigned char>* mark = nullptr;
pid_t owner = 0;

std::atomic<unsigned char>* make_mark() {
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return nullptr;
  }
  if (madvise(page, kPage, MADV_WIPEONFORK) != 0) {
    munmap(page, kPage);
    return nullptr;
  }
  return static_cast<std::atomic<unsigned char>*>(page);
}

}  // namespace

void claim_process() noexcept {
  owner = getpid();
  if (mark == nullptr) {
    mark = make_mark();
  }
  if (mark != nullptr) {
    mark->store(1, std::memory_order_relaxed);
  }
}

bool is_copy() noexcept {
  if (mark != nullptr) {
    return mark->load(std::memory_order_relaxed) == 0;
  }
  return owner != 0 && owner != getpid();  // 0: nobody has claimed it, so nobody serves in it
}

void end_if_copy(log::Sink& sink, std::string_view request_id, std::string_view where) noexcept {
  if (!is_copy()) {
    return;
  }
  sink.write(log::EventKind::copy_ended, request_id,
             "a process that the application forked has come back into the server's code and ends: "
             "a child that can not exec ends by _exit()",
             {{"during", where}});
  // What its buffers hold is its original's to write.
  _exit(1);
}

}  // namespace forktail::server
