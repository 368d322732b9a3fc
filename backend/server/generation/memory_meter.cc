#include "server/generation/memory_meter.h"

#include "server/os/limits.h"

namespace forktail::server {

void MemoryMeter::begin(const std::vector<pid_t>& pids) {
  probe_.emplace(pids);
  until_ = Clock::now() + limits::kLongestMeasurement;
}

void MemoryMeter::watch(std::vector<pollfd>& watched) const {
  if (probe_) {
    watched.push_back({probe_->descriptor(), POLLIN, 0});
  }
}

std::optional<MemoryMeter::Clock::time_point> MemoryMeter::next_deadline() const {
  return probe_ ? std::optional(until_) : std::nullopt;
}

bool MemoryMeter::attend() {
  if (!probe_ || (!probe_->read() && Clock::now() < until_)) {
    return false;
  }
  found_ = probe_->found();
  probe_.reset();
  return true;
}

bool MemoryMeter::reaped(pid_t pid) {
  if (!probe_ || probe_->pid() != pid) {
    return false;
  }
  probe_->reaped();
  return true;
}

}  // namespace forktail::server
