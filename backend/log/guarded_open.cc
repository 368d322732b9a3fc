#include "log/guarded_open.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

namespace forktail::log {

namespace {

bool only_root_writes(int directory) {
  struct stat info {};
  return fstat(directory, &info) == 0 && info.st_uid == 0 && (info.st_mode & 022U) == 0;
}

// Where links are the kernel's own, and their text need not be a path.
bool on_proc(int directory) {
  struct statfs info {};
  return fstatfs(directory, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

int for_fifo(int flags, const struct stat& info) {
  return S_ISFIFO(info.st_mode) ? (flags & ~O_ACCMODE) | O_RDWR : flags;
}

// The file `name` itself, which is no link.
GuardedFile open_in(int directory, const char* name, int flags, mode_t mode) {
  constexpr int kTries = 10;  // again, when it comes or goes in between
  for (int i = 0; i < kTries; ++i) {
    struct stat info {};
    const bool there = fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
    const bool make = !there && (flags & O_CREAT) != 0;
    const int how = make ? flags | O_EXCL : for_fifo(flags & ~O_CREAT, info);
    const int descriptor = openat(directory, name, how | O_NOFOLLOW, mode);
    if (descriptor >= 0) {
      return {descriptor, make};
    }
    if (errno != EINTR && ((flags & O_CREAT) == 0 || (errno != EEXIST && errno != ENOENT))) {
      break;
    }
  }
  return {};
}

// A path that is walked name by name, each directory held open, so that none of them can be
// exchanged between the look at it and its use.
class Walk {
 public:
  explicit Walk(const char* path) {
    const std::string_view text(path);
    ok_ = text.size() < rest_.size();
    if (!ok_) {
      errno = ENAMETOOLONG;
      return;
    }
    std::memcpy(rest_.data(), path, text.size() + 1);
    start();
  }
  ~Walk() { close_directory(); }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  GuardedFile open(int flags, mode_t mode) {
    while (ok_ && next_name()) {
      const ssize_t size = readlinkat(directory_, name_.data(), link_.data(), link_.size() - 1);
      if (size < 0 && last_) {
        return open_file(flags, mode);
      }
      if (size < 0) {
        descend(O_NOFOLLOW);
      } else if (!only_root_writes(directory_)) {
        errno = ELOOP;
        return {};
      } else if (on_proc(directory_)) {
        if (last_) {
          return {openat(directory_, name_.data(), flags & ~O_CREAT), false};
        }
        descend(0);
      } else {
        follow(static_cast<std::size_t>(size));
      }
    }
    return {};
  }

 private:
  void close_directory() {
    if (directory_ >= 0) {
      const int error = errno;
      close(directory_);
      errno = error;
    }
  }

  void enter(int descriptor) {
    close_directory();
    directory_ = descriptor;
    ok_ = descriptor >= 0;
  }

  void start() { enter(::open(rest_[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)); }

  void descend(int no_link) {
    enter(openat(directory_, name_.data(), O_PATH | O_DIRECTORY | O_CLOEXEC | no_link));
  }

  // Takes the next name off the rest. False with errno when there is none.
  bool next_name() {
    const std::string_view rest(rest_.data());
    const std::size_t begin = rest.find_first_not_of('/');
    if (begin == std::string_view::npos) {
      errno = EISDIR;
      return false;
    }
    const std::size_t end = std::min(rest.find('/', begin), rest.size());
    if (end - begin > NAME_MAX) {
      errno = ENAMETOOLONG;
      return false;
    }
    std::memcpy(name_.data(), rest_.data() + begin, end - begin);
    name_[end - begin] = '\0';
    last_ = end == rest.size();
    std::memmove(rest_.data(), rest_.data() + end, rest.size() - end + 1);
    return true;
  }

  // Puts the link's text, of `size` bytes, before the rest.
  void follow(std::size_t size) {
    constexpr int kMostLinks = 40;  // as the kernel's own
    const std::size_t rest = std::strlen(rest_.data());
    if (++links_ > kMostLinks || size + rest >= rest_.size()) {
      errno = ELOOP;
      ok_ = false;
      return;
    }
    std::memmove(rest_.data() + size, rest_.data(), rest + 1);
    std::memcpy(rest_.data(), link_.data(), size);
    if (rest_[0] == '/') {
      start();
    }
  }

  GuardedFile open_file(int flags, mode_t mode) {
    GuardedFile file = open_in(directory_, name_.data(), flags, mode);
    struct stat info {};
    if (file.descriptor >= 0 && !file.made && fstat(file.descriptor, &info) == 0 &&
        S_ISREG(info.st_mode) && info.st_nlink > 1 && !only_root_writes(directory_)) {
      close(std::exchange(file.descriptor, -1));
      errno = EMLINK;
    }
    return file;
  }

  std::array<char, PATH_MAX> rest_{};
  std::array<char, PATH_MAX> link_{};
  std::array<char, NAME_MAX + 1> name_{};
  int directory_ = -1;
  int links_ = 0;
  bool ok_ = true;
  bool last_ = false;
};

}  // namespace

GuardedFile open_guarded(const char* path, int flags, mode_t mode) noexcept {
  if (geteuid() == 0) {
    return Walk(path).open(flags, mode);
  }
  struct stat info {};
  const bool there = stat(path, &info) == 0;
  const int how = there ? for_fifo(flags, info) : flags;
  int descriptor = -1;
  do {
    descriptor = open(path, how, mode);
  } while (descriptor < 0 && errno == EINTR);
  return {descriptor, descriptor >= 0 && !there};
}

}  // namespace forktail::log
