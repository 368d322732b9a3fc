// What a generation tells of itself.
#include <unistd.h>

#include <algorithm>

#include "server/generation/generation.h"

namespace forktail::server {

Counters Generation::counters_of(int worker) const {
  const auto found = history_.find(worker);
  Counters counters = found == history_.end() ? Counters{} : found->second;
  counters.log_lines_dropped = slots_.seat(worker).log_lines_dropped;
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    const Slot& slot = slots_.slot(worker, thread);
    counters.requests += slot.requests();
    counters.exceptions += slot.exceptions();
    counters.bytes += slot.bytes();
    counters.handle_us += slot.handle_us();
  }
  return counters;
}

Counters Generation::totals() const {
  Counters totals;
  for (int worker = 1; worker <= slots_.seats(); ++worker) {
    totals.add(counters_of(worker));
  }
  totals.log_lines_dropped += slots_.board().log_lines_dropped;
  return totals;
}

std::vector<WorkerStats> Generation::worker_stats(bool with_memory) const {
  std::vector<WorkerStats> all;
  const auto now = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  for (int worker = 1; worker <= std::max(wanted_, options_.processes); ++worker) {
    WorkerStats stats;
    stats.id = worker;
    stats.generation = number_;
    stats.counters = counters_of(worker);
    const auto child = workers_.find(worker);
    if (child != workers_.end()) {
      stats.pid = slots_.seat(worker).pid;
      stats.ready = child->second.ready;
      stats.leaving = child->second.leaving;
      stats.last_spawn = std::chrono::system_clock::to_time_t(child->second.since);
      stats.requests_of_process = stats.counters.requests - child->second.requests_before;
    }
    if (stats.pid != 0 && with_memory) {
      stats.memory = process_memory(stats.pid);
    }
    for (int thread = 0; thread < slots_.threads(); ++thread) {
      const Slot& slot = slots_.slot(worker, thread);
      SlotRequest request = stats.pid == 0 ? SlotRequest{} : slot.snapshot();
      const std::int64_t age_ms = (now - request.since_ns) / 1'000'000;
      stats.threads.push_back({thread, slot.thread(), slot.requests(), std::move(request), age_ms});
    }
    all.push_back(std::move(stats));
  }
  return all;
}

bool Generation::settled() const {
  return static_cast<int>(workers_.size()) == wanted_ &&
         std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
           return worker.second.ready && !worker.second.leaving;
         });
}

bool Generation::logs_reopened() const {
  const std::uint32_t round = slots_.board().reopen;
  return std::all_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
    return slots_.seat(worker.first).reopened >= round;
  });
}

std::vector<int> Generation::reopen_failures() const {
  std::vector<int> failures;
  const std::uint32_t round = slots_.board().reopen;
  for (const auto& [worker, child] : workers_) {
    if (round != 0 && slots_.seat(worker).reopen_failed == round) {
      failures.push_back(worker);
    }
  }
  return failures;
}

}  // namespace forktail::server
