// Where log lines go: a file, a FIFO, or the standard error that the process was started with.
// Pure functions over paths and descriptors; any thread.
#pragma once

#include <cstddef>
#include <string>

#include "log/guarded_open.h"

namespace forktail::log {

// "", "-" and "stderr" mean descriptor 2.
bool means_stderr(const std::string& target) noexcept;

// Opens `path` for appending, made with mode 0640 (less the umask) when it is not there. Never
// blocks, on a FIFO without a reader either. guarded_open.h has what root does not open.
GuardedFile open_target(const char* path, mode_t mode) noexcept;

// Whether `path` no longer names the file that is open as `descriptor`; unknown when this user may
// not look.
enum class Moved { no, yes, unknown };
Moved moved(const char* path, int descriptor) noexcept;

// The longest line that may go to `descriptor` in one piece.
std::size_t line_limit(int descriptor) noexcept;

// What an operator can do about errno `error` of open_target().
const char* cure(int error) noexcept;

// The C library's text for an errno, untranslated.
const char* error_text(int error) noexcept;

}  // namespace forktail::log
