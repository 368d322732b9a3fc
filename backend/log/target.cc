#include "log/target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "log/guarded_open.h"
#include "log/line.h"

namespace forktail::log {

bool means_stderr(const std::string& target) noexcept {
  return target.empty() || target == "-" || target == "stderr";
}

GuardedFile open_target(const char* path, mode_t mode) noexcept {
  const GuardedFile file =
      open_guarded(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
  if (file.made) {
    static_cast<void>(fchmod(file.descriptor, mode));  // whatever the umask has become
  }
  return file;
}

Moved moved(const char* path, int descriptor) noexcept {
  struct stat named {};
  struct stat opened {};
  if (stat(path, &named) != 0) {
    return errno == EACCES ? Moved::unknown : Moved::yes;
  }
  const bool same = fstat(descriptor, &opened) == 0 && named.st_dev == opened.st_dev &&
                    named.st_ino == opened.st_ino;
  return same ? Moved::no : Moved::yes;
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
    case ELOOP:
      return "root follows a symbolic link only where nobody else can write: name the file that it "
             "leads to";
    case EMLINK:
      return "the file has several names, and somebody else can write to its directory: name a "
             "file "
             "of its own";
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
