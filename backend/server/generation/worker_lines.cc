#include "server/generation/worker_lines.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <span>

#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;

namespace {

std::int64_t monotonic_ns() {
  return Workers::Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

void WorkerLines::tell(EventKind kind, int worker, std::string_view pattern,
                       const std::string& reason) const {
  const pid_t pid = workers_.pid_of(worker);
  const std::string message = fmt::format(fmt::runtime(pattern), describe(worker, pid), reason);
  const std::array<log::Field, 3> fields{
      {{"of_worker", std::int64_t{worker}}, {"of_pid", std::int64_t{pid}}, {"reason", reason}}};
  sink_.write(kind, {}, message, std::span(fields).first(reason.empty() ? 2 : 3));
}

void WorkerLines::tell_died(int worker, const std::string& how) const {
  const pid_t pid = workers_.pid_of(worker);
  sink_.write(EventKind::worker_died, {}, fmt::format("{} {}", describe(worker, pid), how),
              {{"of_worker", std::int64_t{worker}}, {"of_pid", std::int64_t{pid}}, {"how", how}});
}

void WorkerLines::tell_overdue(const Overdue& overdue) const {
  const pid_t pid = workers_.pid_of(overdue.worker);
  const std::int64_t now = monotonic_ns();
  const std::string what = fmt::format("harakiri: {} is {}; {}", describe(overdue.worker, pid),
                                       describe(overdue.request, now),
                                       overdue.final ? "killing it" : "its grace has begun");
  sink_.write(overdue.final ? EventKind::harakiri_kill : EventKind::harakiri, overdue.request.id,
              what,
              {{"method", overdue.request.method},
               {"path", overdue.request.path},
               {"state", to_string(overdue.request.state)},
               {"age_ms", std::chrono::nanoseconds(overdue.request.age_ns(now))},
               {"of_worker", std::int64_t{overdue.worker}},
               {"of_pid", std::int64_t{pid}}});
}

std::uint64_t WorkerLines::tell_lost(int worker, const std::string& how,
                                     const std::vector<bool>& resumed) const {
  const pid_t pid = workers_.pid_of(worker);
  const std::int64_t now = monotonic_ns();
  std::uint64_t lost = 0;
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    const Slot& slot = slots_.slot(worker, thread);
    const SlotRequest request = slot.last_request();
    const bool survived = resumed[static_cast<std::size_t>(thread)];
    if (request.state == SlotState::idle || (request.state == SlotState::reading && survived)) {
      continue;
    }
    const bool answered = request.state == SlotState::writing && (survived || slot.answered());
    lost += answered ? 0 : 1;
    const std::string line = fmt::format("{} {} {} {}", describe(worker, pid), how,
                                         answered ? "after" : "while", describe(request, now));
    sink_.write(answered ? EventKind::answered : EventKind::lost, request.id, line,
                {{"method", request.method},
                 {"path", request.path},
                 {"state", to_string(request.state)},
                 {"age_ms", std::chrono::nanoseconds(request.age_ns(now))},
                 {"how", how},
                 {"lost_worker", std::int64_t{worker}},
                 {"lost_pid", std::int64_t{pid}}});
  }
  return lost;
}

}  // namespace forktail::server
