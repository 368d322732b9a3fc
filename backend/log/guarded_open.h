// Opening a file to write to, which a process of root may have to do where others can write.
//
// Whoever may write to a directory can put a symbolic link in the place of a log or a pidfile that
// root is about to open there, and so make root write to any file of the machine. A process of root
// therefore follows a link only when it lies in a directory that nobody but root can write to, as
// /var/run and /dev/stdout do, and takes no file with several names from any other directory. All
// other users may follow what they like: they can write to what is theirs.
#pragma once

#include <sys/types.h>

namespace forktail::log {

struct GuardedFile {
  int descriptor = -1;  // -1: errno says why; ELOOP is a link, EMLINK a file with several names
  bool made = false;    // it was not there before
};

// As open(2); `mode` is for O_CREAT. O_WRONLY becomes O_RDWR for a FIFO: it then has a reader
// for as long as it has a writer, so that opening it does not wait for one, and a reader that
// leaves costs no SIGPIPE (fifo(7)). Allocates nothing.
GuardedFile open_guarded(const char* path, int flags, mode_t mode) noexcept;

}  // namespace forktail::log
