#include "log/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "log/fragment.h"
#include "log/target.h"

namespace forktail::log {

namespace {

std::string absolute(std::string target) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(target, error);
  return means_stderr(target) || error ? std::move(target) : path.string();
}

// By the umask that the server was started with: the application may change its process's.
mode_t file_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0640 & ~mask;
}

int open_or_throw(const std::string& target, mode_t mode, bool& made) {
  if (means_stderr(target)) {
    // A number of its own: the application may close 2, and what it opens next would have that.
    const int own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return own >= 0 ? own : STDERR_FILENO;
  }
  const GuardedFile file = open_target(target.c_str(), mode);
  if (file.descriptor < 0) {
    const int error = errno;
    throw std::runtime_error("can not open the log " + target + ": " + error_text(error) + "; " +
                             cure(error));
  }
  made = file.made;
  return file.descriptor;
}

int adopt_or_throw(int descriptor, const std::string& target) {
  if (fcntl(descriptor, F_SETFD, descriptor == STDERR_FILENO ? 0 : FD_CLOEXEC) != 0) {
    throw std::runtime_error("descriptor " + std::to_string(descriptor) + " of the log " + target +
                             " is not open; it must be inherited over exec, without FD_CLOEXEC");
  }
  return descriptor;
}

}  // namespace

LogFile::LogFile(std::string target, System& system)
    : system_(system),
      target_(absolute(std::move(target))),
      mode_(file_mode()),
      descriptor_(open_or_throw(target_, mode_, made_)),
      line_limit_(log::line_limit(descriptor_)) {}

LogFile::LogFile(int inherited_descriptor, std::string target, System& system)
    : system_(system),
      target_(absolute(std::move(target))),
      mode_(file_mode()),
      descriptor_(adopt_or_throw(inherited_descriptor, target_)),
      line_limit_(log::line_limit(descriptor_)) {}

LogFile::~LogFile() {
  forget_previous();
  if (descriptor_ != STDERR_FILENO) {
    close(descriptor_);
  }
}

LogFile::Reopened LogFile::reopen(
    const std::function<void(const std::function<void()>&)>& in_turn) {
  if (means_stderr(target_)) {
    return Reopened::kept;
  }
  const int fresh = open_target(target_.c_str(), mode_).descriptor;
  bool replaced = false;
  int error = errno;
  if (fresh >= 0) {
    const auto replace = [&] {
      replaced = system_.dup3(fresh, descriptor_, O_CLOEXEC) >= 0;
      error = errno;
    };
    in_turn(std::cref(replace));  // of a reference a std::function needs no memory: nothing throws
  }
  if (fresh >= 0) {
    close(fresh);
  } else if (error == EACCES && log::moved(target_.c_str(), descriptor_) == Moved::no) {
    return Reopened::kept;  // root opened it, this user may not; but it is the right one
  }
  if (!replaced) {
    errno = error;
    return Reopened::failed;
  }
  line_limit_.store(log::line_limit(descriptor_), std::memory_order_relaxed);
  return Reopened::anew;
}

bool LogFile::moved() const noexcept {
  return !means_stderr(target_) && log::moved(target_.c_str(), descriptor_) == Moved::yes;
}

void LogFile::keep() noexcept {
  forget_previous();
  previous_ = fcntl(descriptor_, F_DUPFD_CLOEXEC, 0);
}

void LogFile::forget_previous() noexcept {
  if (previous_ >= 0) {
    close(previous_);
    previous_ = -1;
  }
}

int LogFile::descriptor_of(const FileEnd& end) const noexcept {
  return end.same_file(file_end(previous_)) ? previous_ : descriptor_;
}

void LogFile::blank_torn(std::string_view start) const noexcept {
  for (const int file : {descriptor_, previous_}) {
    if (file_end(file)) {
      blank_torn_lines(file, start);
    }
  }
}

void LogFile::finish_previous(std::string_view start) const noexcept {
  if (previous_ >= 0) {
    blank_torn_lines(previous_, start);
    cut_unfinished_line(previous_, start);
  }
}

}  // namespace forktail::log
