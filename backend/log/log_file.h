// The open file of a log, and the one before it, as long as somebody may still write there.
//
// Owns both descriptors. That of the log keeps its number for good. Belongs to the sink; whoever
// writes to it reads descriptor() under the sink's lock. Nothing throws but the constructors.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "forktail/api.h"
#include "log/group.h"
#include "log/system.h"

namespace forktail::log {

class LogFile {
 public:
  // As the sink's, which see (log/sink.h). Throw std::runtime_error.
  LogFile(std::string target, System& system);
  LogFile(int inherited_descriptor, std::string target, System& system);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  // As it was given, made absolute: the working directory may change.
  [[nodiscard]] const std::string& target() const noexcept FORKTAIL_LIFETIMEBOUND {
    return target_;
  }
  // The constructor made the file, as root.
  [[nodiscard]] bool made() const noexcept { return made_; }
  // The longest line that may go there in one piece.
  [[nodiscard]] std::size_t line_limit() const noexcept {
    return line_limit_.load(std::memory_order_relaxed);
  }

  // Opens the target again and puts it in place of the old file, when it is the caller's turn to
  // write: `in_turn` does what it is given then. `kept`: there is nothing to do. `failed` with
  // errno: the old file stays in use.
  enum class Reopened { anew, kept, failed };
  Reopened reopen(const std::function<void(const std::function<void()>&)>& in_turn);
  // The target's path names another file by now.
  [[nodiscard]] bool moved() const noexcept;

  // Keeps the open file as the previous one, for a reopen that is about to come.
  void keep() noexcept;
  [[nodiscard]] bool keeps_previous() const noexcept { return previous_ >= 0; }
  void forget_previous() noexcept;
  // Whichever of the two it is; the open one when it is neither.
  [[nodiscard]] int descriptor_of(const FileEnd& end) const noexcept;

  // What writers that were killed have left of their lines, which begin with `start`: blanks it,
  // and in a previous file, to which nobody writes any more, cuts it off.
  void blank_torn(std::string_view start) const noexcept;
  void finish_previous(std::string_view start) const noexcept;

 private:
  System& system_;
  const std::string target_;
  const mode_t mode_;  // of a file that is created anew
  bool made_ = false;
  const int descriptor_;
  int previous_ = -1;
  std::atomic<std::size_t> line_limit_;
};

}  // namespace forktail::log
