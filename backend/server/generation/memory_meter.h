// How much memory the workers have, as it was measured the last time, and the measurement that is
// under way.
//
// Belongs to the master's loop. Nothing waits: MemoryProbe measures in a process of its own.
#pragma once

#include <poll.h>

#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "forktail/api.h"
#include "server/os/memory_probe.h"

namespace forktail::server {

class MemoryMeter {
 public:
  using Clock = std::chrono::steady_clock;

  // None may be under way. Throws std::system_error.
  void begin(const std::vector<pid_t>& pids);
  [[nodiscard]] bool under_way() const { return probe_.has_value(); }

  void watch(std::vector<pollfd>& watched) const;
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // True when a measurement has ended, with all that it could find in its time.
  bool attend();
  // A child of this process has been waited for. True when it was the one that measures.
  bool reaped(pid_t pid);
  // Ends what is under way: the master does.
  void give_up() { probe_.reset(); }

  [[nodiscard]] const std::map<pid_t, ProcessMemory>& found() const FORKTAIL_LIFETIMEBOUND {
    return found_;
  }

 private:
  std::optional<MemoryProbe> probe_;
  Clock::time_point until_;
  std::map<pid_t, ProcessMemory> found_;
};

}  // namespace forktail::server
