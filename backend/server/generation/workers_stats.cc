// What the workers' places and processes tell of themselves.
#include <algorithm>

#include "server/generation/workers.h"

namespace forktail::server {

Counters Workers::counters_of(int worker) const {
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

std::uint64_t Workers::served(int worker) const {
  const auto found = processes_.find(worker);
  return found == processes_.end() ? 0
                                   : counters_of(worker).requests - found->second.requests_before;
}

Counters Workers::totals() const {
  Counters totals;
  for (int worker = 1; worker <= slots_.seats(); ++worker) {
    totals.add(counters_of(worker));
  }
  totals.log_lines_dropped += slots_.board().log_lines_dropped;
  return totals;
}

WorkerStats Workers::stats_of(int worker, const Memory& memory) const {
  WorkerStats stats;
  stats.id = worker;
  stats.counters = counters_of(worker);
  if (const auto found = processes_.find(worker); found != processes_.end()) {
    const Process& process = found->second;
    stats.pid = process.pid;
    stats.ready = process.ready;
    stats.leaving = process.leaving;
    stats.last_spawn = std::chrono::system_clock::to_time_t(process.since);
    stats.requests_of_process = stats.counters.requests - process.requests_before;
  }
  if (const auto measured = memory.find(stats.pid); measured != memory.end()) {
    stats.memory = measured->second;
  }
  const auto now = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    const Slot& slot = slots_.slot(worker, thread);
    SlotRequest request = stats.pid == 0 ? SlotRequest{} : slots_.snapshot(worker, thread);
    const std::int64_t age_ms = request.age_ns(now) / 1'000'000;
    stats.threads.push_back({thread, slot.thread(), slot.requests(), std::move(request), age_ms});
  }
  return stats;
}

std::vector<WorkerStats> Workers::stats(int count, int generation, const Memory& memory) const {
  std::vector<WorkerStats> all;
  for (int worker = 1; worker <= count; ++worker) {
    all.push_back(stats_of(worker, memory));
    all.back().generation = generation;
  }
  return all;
}

bool Workers::logs_reopened(std::uint32_t round) const {
  return std::all_of(processes_.begin(), processes_.end(),
                     [&](const auto& entry) { return slots_.seat(entry.first).reopened >= round; });
}

std::vector<int> Workers::reopen_failures(std::uint32_t round) const {
  std::vector<int> failures;
  for (const auto& [worker, process] : processes_) {
    if (round != 0 && slots_.seat(worker).reopen_failed == round) {
      failures.push_back(worker);
    }
  }
  return failures;
}

}  // namespace forktail::server
