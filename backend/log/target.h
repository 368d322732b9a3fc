// Where log lines go: a file, a FIFO, or the standard error that the process was started with.
// Pure functions over paths and descriptors; any thread.
#pragma once

#include <cstddef>
#include <string>

namespace forktail::log {

// "", "-" and "stderr" mean descriptor 2.
bool means_stderr(const std::string& target) noexcept;

// Opens `path` for appending, made with mode 0640 (less the umask) when it is not there. Never
// blocks, on a FIFO without a reader either. Returns a descriptor, or -1 and errno.
int open_target(const char* path, mode_t mode) noexcept;

// Whether `path` names the very file that is open as `descriptor`.
bool same_file(const char* path, int descriptor) noexcept;

// The longest line that may go to `descriptor` in one piece.
std::size_t line_limit(int descriptor) noexcept;

// What an operator can do about errno `error` of open_target().
const char* cure(int error) noexcept;

// The C library's text for an errno, untranslated.
const char* error_text(int error) noexcept;

}  // namespace forktail::log
