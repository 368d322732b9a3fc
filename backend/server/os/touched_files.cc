#include "server/os/touched_files.h"

#include <sys/stat.h>

#include <utility>

namespace forktail::server {

namespace {

constexpr std::chrono::seconds kPace{1};

}  // namespace

void TouchedFiles::watch(const std::vector<std::string>& paths) {
  auto before = std::exchange(files_, {});
  for (const std::string& path : paths) {
    const auto known = before.find(path);
    files_[path] = known == before.end() ? look_at(path) : known->second;
  }
  next_ = Clock::now() + kPace;
}

std::optional<TouchedFiles::Clock::time_point> TouchedFiles::next() const {
  return files_.empty() ? std::nullopt : std::optional(next_);
}

std::optional<std::string> TouchedFiles::changed(Clock::time_point now) {
  std::optional<std::string> found;
  if (files_.empty() || now < next_) {
    return found;
  }
  next_ = now + kPace;
  for (auto& [path, stamp] : files_) {
    const std::optional<Stamp> present = look_at(path);
    if (present && present != stamp) {
      stamp = present;
      found = path;
    }
  }
  return found;
}

std::optional<TouchedFiles::Stamp> TouchedFiles::look_at(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return Stamp(status.st_dev, status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

}  // namespace forktail::server
