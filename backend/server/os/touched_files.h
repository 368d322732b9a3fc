// The files whose change asks for a reload (touch-reload): a deployment's last step is to touch
// one.
//
// Belongs to the master's loop, which looks once a second. A change is another time of modification
// or another file of that name. One that appears has changed; one that vanishes has not, since many
// a tool removes a file before it puts the new one there.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace forktail::server {

class TouchedFiles {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TouchedFiles(const std::vector<std::string>& paths) { watch(paths); }

  // These from now on. What is known of those that were watched before stays known.
  void watch(const std::vector<std::string>& paths);

  // When to look again; nothing when there is nothing to look at.
  [[nodiscard]] std::optional<Clock::time_point> next() const;

  // When it is time: one that has changed since the last look.
  std::optional<std::string> changed(Clock::time_point now);

 private:
  // Device, inode, seconds and nanoseconds of the last modification.
  using Stamp = std::tuple<dev_t, ino_t, std::int64_t, std::int64_t>;

  static std::optional<Stamp> look_at(const std::string& path);

  std::map<std::string, std::optional<Stamp>> files_;
  Clock::time_point next_{};
};

}  // namespace forktail::server
