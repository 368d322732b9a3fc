#include "log/target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "log/line.h"

namespace forktail::log {

bool means_stderr(const std::string& target) noexcept {
  return target.empty() || target == "-" || target == "stderr";
}

namespace {

bool is_link(const char* path) noexcept {
  struct stat info {};
  const int error = errno;
  const bool link = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
  errno = error;
  return link;
}

}  // namespace

int open_target(const char* path, mode_t mode) noexcept {
  struct stat info {};
  const bool fifo = stat(path, &info) == 0 && S_ISFIFO(info.st_mode);
  // With O_RDWR the FIFO has a reader for as long as it has a writer: opening it does not wait for
  // one, and a reader that leaves costs lines, not a SIGPIPE (fifo(7)).
  const int direction = fifo ? O_RDWR : O_WRONLY;
  const int flags = direction | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  for (;;) {
    int descriptor = open(path, flags);
    if (descriptor < 0 && errno == ENOENT) {
      descriptor = open(path, flags | O_CREAT | O_EXCL, mode);
      if (descriptor >= 0) {
        static_cast<void>(fchmod(descriptor, mode));  // whatever the umask has become
      }
    }
    if (descriptor >= 0 || (errno != EINTR && errno != EEXIST)) {
      return descriptor;
    }
    if (errno == EEXIST && is_link(path)) {
      return open(path, flags | O_CREAT, mode);  // to nothing: what it names is made
    }
    // Another process has created it in between.
  }
}

bool same_file(const char* path, int descriptor) noexcept {
  struct stat named {};
  struct stat opened {};
  return stat(path, &named) == 0 && fstat(descriptor, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

std::size_t line_limit(int descriptor) noexcept {
  static_assert(PIPE_BUF >= kMinLine);
  struct stat info {};
  // Only writes of up to PIPE_BUF bytes are atomic on a pipe (pipe(7)).
  const bool pipe = fstat(descriptor, &info) == 0 && S_ISFIFO(info.st_mode);
  return pipe ? PIPE_BUF : kMaxLine;
}

const char* cure(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return "create its directory first";
    case EACCES:
    case EPERM:
      return "let the user that the server runs as write to the file, or create it in its "
             "directory";
    case EISDIR:
      return "name a file in that directory";
    case ENXIO:
      return "a socket can not be opened: use \"stderr\" for the standard error, or a FIFO";
    case EROFS:
    case ENOSPC:
    case EDQUOT:
      return "choose a file on a file system that has room and can be written to";
    default:
      return "choose another file";
  }
}

const char* error_text(int error) noexcept {
  const char* text = strerrordesc_np(error);
  return text != nullptr ? text : "unknown error";
}

}  // namespace forktail::log
