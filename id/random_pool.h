// A process's own supply of random bytes.
//
// Drawing from OpenSSL costs about a microsecond a call, so bytes are drawn in batches. A batch
// that is drawn before a fork and used after it would give the same bytes to parent and child,
// which is the very trap this project exists to close. So the page of a batch is MADV_WIPEONFORK:
// the kernel hands a child zeroes, and "zero bytes left" is the empty state. Where a kernel or a
// sandbox refuses the madvise, the pid that filled the page is compared, which costs a system call
// a draw.
//
// Not thread-safe: one pool a thread, or a lock around it. Never throws.
#pragma once

#include <openssl/rand.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace forktail::id {

class RandomPool {
 public:
  enum class Fence { best, pid };  // pid: as if the madvise was refused, for tests

  explicit RandomPool(Fence fence = Fence::best) noexcept {
    void* page =
        mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
      return;  // take() then asks the system each time
    }
    wiped_on_fork_ = fence == Fence::best && madvise(page, sizeof(Page), MADV_WIPEONFORK) == 0;
    page_ = static_cast<Page*>(page);
  }
  ~RandomPool() {
    if (page_ != nullptr) {
      munmap(page_, sizeof(Page));
    }
  }
  RandomPool(const RandomPool&) = delete;
  RandomPool& operator=(const RandomPool&) = delete;

  // Writes `size` random bytes to `out`. False only when neither OpenSSL nor the kernel gives any;
  // `out` is then unspecified and no id may be made from it.
  bool take(void* out, std::size_t size) noexcept {
    if (page_ == nullptr || size > sizeof(page_->bytes)) {
      return draw(out, size);
    }
    if (page_->left < size || (!wiped_on_fork_ && page_->owner != getpid())) {
      if (!draw(page_->bytes, sizeof(page_->bytes))) {
        page_->left = 0;
        return false;
      }
      page_->left = sizeof(page_->bytes);
      page_->owner = getpid();
    }
    page_->left -= size;
    std::memcpy(out, page_->bytes + page_->left, size);
    // A used byte must not be found again in a core dump.
    std::memset(page_->bytes + page_->left, 0, size);
    return true;
  }

 private:
  struct Page {
    std::size_t left;
    pid_t owner;
    unsigned char bytes[4096 - 2 * sizeof(std::size_t)];
  };

  static bool draw(void* out, std::size_t size) noexcept {
    if (RAND_bytes(static_cast<unsigned char*>(out), static_cast<int>(size)) == 1) {
      return true;
    }
    return getrandom(out, size, 0) == static_cast<ssize_t>(size);
  }

  Page* page_ = nullptr;
  bool wiped_on_fork_ = false;
};

}  // namespace forktail::id
