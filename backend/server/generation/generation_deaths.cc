// What a generation does about its processes' deaths.
#include <fmt/format.h>
#include <signal.h>

#include <array>
#include <vector>

#include "server/generation/generation.h"
#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;
using std::chrono::milliseconds;

bool Generation::reap(pid_t pid, int status) {
  if (pid == template_.pid()) {
    on_template_gone(pid, how_it_ended(status));
    return true;
  }
  const std::optional<int> worker = workers_.number_of(pid);
  if (!worker) {
    return false;
  }
  read_messages();  // its last words
  if (workers_.pid_of(*worker) != pid) {
    refork_ = Refork{
        0, {}, fmt::format("the worker that was to be the template was {}", how_it_ended(status))};
    return true;
  }
  if (*worker == reforking_) {
    on_refork_failed(fmt::format("worker {} was {}", *worker, how_it_ended(status)));
  }
  on_worker_gone(*worker, how_it_ended(status));
  return true;
}

void Generation::keep_unclaimed(pid_t pid, int status) {
  constexpr std::size_t kMost = 1024;
  if (unclaimed_.size() == kMost) {
    unclaimed_.pop_front();
  }
  unclaimed_.emplace_back(pid, status);
}

void Generation::on_template_gone(pid_t pid, const std::string& how) {
  read_template_messages();  // why it could not load, if it said so
  const milliseconds wait = template_.ended();
  forget_unforked_workers();
  if (phase_ == Phase::starting) {
    fail(fmt::format("the template was {} while it loaded the application", how));
  } else if (phase_ == Phase::serving) {
    sink_.write(EventKind::template_died, {},
                fmt::format("the template (pid {}) was {}; starting another in {} ms", pid, how,
                            wait.count()),
                {{"of_pid", std::int64_t{pid}}, {"how", how}, {"retry_ms", wait}});
    template_.start_later(wait);
  }
}

void Generation::on_worker_gone(int worker, const std::string& how) {
  const Workers::Process process = std::move(*workers_.find(worker));
  const std::vector<bool> resumed =
      kept_connections_.resume(worker, slots_.threads(), Clock::now() + options_.keepalive_timeout,
                               [&](int thread, bool waiting) {
                                 return slots_.slot(worker, thread).between_requests(waiting);
                               });
  if (log_groups_) {
    sink_.write_gathered(log_groups_->of(worker), true);
  }
  const bool expected = (process.leaving && how == how_it_ended(0)) ||
                        (process.ended && how == how_it_ended(SIGKILL));
  if (!expected) {
    ++workers_.history(worker).crashes;
    sink_.write(
        EventKind::worker_died, {}, fmt::format("{} {}", describe(worker, process.pid), how),
        {{"of_worker", std::int64_t{worker}}, {"of_pid", std::int64_t{process.pid}}, {"how", how}});
    log_in_flight(worker, process.pid, how, resumed);
    sink_.mend_after_kill();
  } else {
    tell_of(EventKind::worker_left, worker,
            process.ended ? "{} ended with its generation, which could not start" : "{} left");
  }
  if (slots_.board().retiring == worker && worker > wanted_) {
    slots_.board().retiring = 0;  // it has no successor for the next one to wait for
  }
  workers_.remove(worker);
  kept_connections_.dismiss(worker);
  if (!process.ready && !expected) {
    const std::string why = fmt::format("worker {} was {} while it started", worker, how);
    if (phase_ == Phase::starting) {
      fail(why);
    } else if (!process.failed) {
      note_failed_start(why);
    }
  }
  if (starts_or_serves()) {
    const auto longest = process.ready ? Backoff::kLongestOnceReady : Backoff::kLongest;
    const auto lived = Clock::now() - process.started;
    workers_.start_later(
        worker, expected ? milliseconds(0) : workers_.backoff(worker).after_death(lived, longest));
    start_missing_workers();
  }
}

// One line for each request that died with its worker, under the request's id; `resumed` says, by
// thread, whose connection another worker goes on with: those requests had been answered, or not
// begun.
void Generation::log_in_flight(int worker, pid_t pid, const std::string& what,
                               const std::vector<bool>& resumed) {
  const auto now = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    const Slot& slot = slots_.slot(worker, thread);
    const SlotRequest request = slot.last_request();
    const bool survived = resumed[static_cast<std::size_t>(thread)];
    if (request.state == SlotState::idle || (request.state == SlotState::reading && survived)) {
      continue;
    }
    const bool answered = request.state == SlotState::writing && (survived || slot.answered());
    workers_.history(worker).lost += answered ? 0 : 1;
    const std::string line = fmt::format("{} {} {} {}", describe(worker, pid), what,
                                         answered ? "after" : "while", describe(request, now));
    sink_.write(answered ? EventKind::answered : EventKind::lost, request.id, line,
                {{"method", request.method},
                 {"path", request.path},
                 {"state", to_string(request.state)},
                 {"age_ms", std::chrono::nanoseconds(request.age_ns(now))},
                 {"how", what},
                 {"lost_worker", std::int64_t{worker}},
                 {"lost_pid", std::int64_t{pid}}});
  }
}

}  // namespace forktail::server
