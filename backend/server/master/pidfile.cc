#include "server/master/pidfile.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace forktail::server {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::runtime_error(fmt::format("pidfile {}: {}", path, why));
}

}  // namespace

Pidfile::Pidfile(std::string path) {
  if (path.empty()) {
    return;
  }
  path = std::filesystem::absolute(path).string();
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file) {
    refuse(path, std::generic_category().message(errno));
  }
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    refuse(path, "another server runs with it; stop that one or give another path");
  }
  const std::string text = std::to_string(getpid()) + "\n";
  if (ftruncate(file.get(), 0) != 0 ||
      pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    refuse(path, std::generic_category().message(errno));
  }
  path_ = std::move(path);
  file_ = std::move(file);
}

Pidfile::~Pidfile() { remove(); }

bool Pidfile::remove() {
  if (!file_) {
    return true;
  }
  const bool removed = unlink((aside_ ? old_path() : path_).c_str()) == 0 || errno == ENOENT;
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
    refuse(path_,
           fmt::format("can not be renamed to {} for an upgrade: {}; its directory must belong to "
                       "the user whom the server runs as",
                       old_path(), std::generic_category().message(errno)));
  }
  aside_ = true;
}

void Pidfile::put_back() {
  if (aside_ && rename(old_path().c_str(), path_.c_str()) == 0) {
    aside_ = false;
  }
}

}  // namespace forktail::server
