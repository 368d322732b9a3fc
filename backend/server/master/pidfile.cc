#include "server/master/pidfile.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "log/guarded_open.h"
#include "log/target.h"
#include "server/os/file_id.h"

namespace forktail::server {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::runtime_error(fmt::format("pidfile {}: {}", path, why));
}

Descriptor open_file(const std::string& path) {
  const int descriptor =
      log::open_guarded(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644).descriptor;
  if (descriptor < 0) {
    const int error = errno;
    refuse(path, fmt::format("{}; {}", log::error_text(error), log::cure(error)));
  }
  return Descriptor(descriptor);
}

bool names(const std::string& path, const Descriptor& file) {
  struct stat info {};
  return fstat(file.get(), &info) == 0 && FileId::of(path) == FileId(info);
}

// The file, locked. Processes of a server that was just killed may hold the lock for a moment; one
// that ends orderly removes the file.
Descriptor open_locked(const std::string& path) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kBetweenTries{20};
  for (const auto end = Clock::now() + kWaitForPredecessor; Clock::now() < end;) {
    Descriptor file = open_file(path);
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      std::this_thread::sleep_for(kBetweenTries);
    } else if (names(path, file)) {
      return file;
    }
  }
  refuse(path, "another server runs with it; stop that one or give another path");
}

}  // namespace

Pidfile::Pidfile(const std::string& path) {
  if (!path.empty()) {
    path_ = std::filesystem::absolute(path).string();
    file_ = open_locked(path_);
    write_pid();
  }
}

Pidfile::Pidfile(std::string path, Descriptor inherited)
    : path_(std::move(path)), file_(std::move(inherited)) {
  set_inheritable(file_.get(), false);
  write_pid();
}

void Pidfile::write_pid() const {
  const std::string text = std::to_string(getpid()) + "\n";
  if (ftruncate(file_.get(), 0) != 0 ||
      pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    refuse(path_, std::generic_category().message(errno));
  }
}

Pidfile::~Pidfile() { remove(); }

bool Pidfile::remove() {
  if (!file_) {
    return true;
  }
  const std::string path = aside_ ? old_path() : path_;
  // Another server may have put its own in that place; or the directory is root's alone. Then the
  // file at least names nobody any more.
  const bool removed = !names(path, file_) || unlink(path.c_str()) == 0;
  static_cast<void>(ftruncate(file_.get(), 0));
  if (removed) {
    file_.reset();
  }
  return removed;
}

void Pidfile::set_aside() {
  if (!file_) {
    return;
  }
  if (rename(path_.c_str(), old_path().c_str()) != 0) {
    if (errno == EACCES || errno == EPERM) {
      shared_ = true;
      return;
    }
    refuse(path_, fmt::format("can not be renamed to {} for an upgrade: {}", old_path(),
                              std::generic_category().message(errno)));
  }
  aside_ = true;
}

void Pidfile::put_back() {
  if (shared_) {
    shared_ = false;
    write_pid();
  }
  if (aside_ && rename(old_path().c_str(), path_.c_str()) == 0) {
    aside_ = false;
  }
}

void Pidfile::hand_over() {
  if (shared_) {
    file_.reset();
  }
}

}  // namespace forktail::server
