// What a generation does about its processes' deaths.
#include <fmt/format.h>
#include <signal.h>

#include <array>
#include <vector>

#include "server/generation/generation.h"
#include "server/os/limits.h"
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
    refork_.note_died(how_it_ended(status));
    return true;
  }
  if (refork_.is(*worker)) {
    refork_.note_failed(fmt::format("worker {} was {}", *worker, how_it_ended(status)));
  }
  on_worker_gone(*worker, how_it_ended(status));
  return true;
}

void Generation::keep_unclaimed(pid_t pid, int status) {
  if (unclaimed_.size() == limits::kMostUnclaimedDeaths) {
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
    lines_.tell_died(worker, how);
    workers_.history(worker).lost += lines_.tell_lost(worker, how, resumed);
    sink_.mend_after_kill();
  } else {
    lines_.tell(EventKind::worker_left, worker,
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

}  // namespace forktail::server
