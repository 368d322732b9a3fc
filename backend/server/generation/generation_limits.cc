// What a generation does about workers that are old, requests that are overdue, and load.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "server/child/worker_harakiri.h"
#include "server/generation/generation.h"
#include "server/os/listen_queue.h"
#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;

bool Generation::waits_for_template() const {
  return phase_ == Phase::starting ||
         (phase_ == Phase::serving && template_pid_ != 0 && !template_loaded_);
}

std::optional<Generation::Clock::time_point> Generation::next_start_deadline() const {
  std::optional<Clock::time_point> next;
  if (options_.start_timeout.count() == 0) {
    return next;
  }
  if (waits_for_template()) {
    next = template_started_ + options_.start_timeout;
  }
  for (const auto& [worker, child] : workers_) {
    const Clock::time_point at = child.started + options_.start_timeout;
    if (phase_ == Phase::serving && !child.ready && !child.failed && (!next || at < *next)) {
      next = at;
    }
  }
  return next;
}

// What hangs in its load, or in on_worker_start.
void Generation::give_up_slow_starts() {
  const Clock::time_point now = Clock::now();
  const auto limit = options_.start_timeout;
  if (const auto next = next_start_deadline(); !next || *next > now) {
    return;
  }
  const std::string within = fmt::format("within start-timeout ({} ms)", limit.count());
  if (phase_ == Phase::starting) {
    return fail(template_loaded_ ? fmt::format("not every worker was ready {}", within)
                                 : fmt::format("the application had not been loaded {}", within));
  }
  if (waits_for_template() && template_started_ + limit <= now) {
    sink_.write(
        EventKind::template_late, {},
        fmt::format("killing the template (pid {}): it had not loaded {}", template_pid_, within),
        {{"of_pid", std::int64_t{template_pid_}}, {"reason", "not loaded " + within}});
    ::kill(template_pid_, SIGKILL);
    template_started_ = now;  // until it is reaped
  }
  for (auto& [worker, child] : workers_) {
    if (!child.ready && !child.failed && child.started + limit <= now) {
      note_failed_start(fmt::format("worker {} was not ready {}", worker, within));
      tell_of(EventKind::worker_late, worker, "killing {}: {}", "it was not ready " + within);
      child.failed = true;
      signal_worker(worker, SIGKILL);
    }
  }
}

// One at a time: the next when the last one's successor is ready.
void Generation::retire_the_old() {
  const auto lifetime = options_.max_worker_lifetime;
  if (lifetime.count() == 0 || phase_ != Phase::serving || slots_.board().retiring != 0) {
    return;
  }
  for (auto& [worker, child] : workers_) {
    int nobody = 0;
    if (child.ready && !child.leaving && child.started + lifetime <= Clock::now() &&
        slots_.board().retiring.compare_exchange_strong(nobody, worker)) {
      tell_of(EventKind::worker_replaced, worker, "{} is replaced: {}",
              "it has lived for max-worker-lifetime");
      return send_away(worker, child, options_.worker_reload_mercy);
    }
  }
}

void Generation::look_at_requests() {
  const Clock::time_point now = Clock::now();
  if (group_pace_.due(now)) {
    for (const auto& [worker, child] : workers_) {
      sink_.write_gathered(log_groups_->of(worker), false);
    }
  }
  if (harakiri_.due(now)) {
    for (const Overdue& overdue : harakiri_.overdue(now)) {
      warn_overdue(overdue);
    }
  }
}

void Generation::scale_to_load() {
  if (!cheaper_.due(Clock::now()) || phase_ != Phase::serving) {
    return;
  }
  int queued = 0;
  for (const int listener : kept_connections_.share().listeners) {
    queued += listen_queue(listener).value_or(ListenQueue{}).waiting;
  }
  const int wanted = cheaper_.workers_for_load(wanted_, queued);
  if (wanted != wanted_) {
    sink_.write(EventKind::scaled, {},
                fmt::format("{} workers instead of {}, {} connections are waiting", wanted, wanted_,
                            queued),
                {{"wanted", std::int64_t{wanted}}, {"reason", std::string_view("load")}});
    scale(wanted);
  }
}

void Generation::warn_overdue(const Overdue& overdue) {
  const pid_t pid = slots_.seat(overdue.worker).pid;
  const auto now = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  const std::string what = fmt::format("harakiri: {} is {}; {}", describe(overdue.worker, pid),
                                       describe(overdue.request, now),
                                       overdue.final ? "killing it" : "its grace has begun");
  sink_.write(overdue.final ? EventKind::harakiri_kill : EventKind::harakiri, overdue.request.id,
              what,
              {{"method", overdue.request.method},
               {"path", overdue.request.path},
               {"state", to_string(overdue.request.state)},
               {"age_ms", std::chrono::nanoseconds(now - overdue.request.since_ns)},
               {"of_worker", std::int64_t{overdue.worker}},
               {"of_pid", std::int64_t{pid}}});
  if (overdue.final) {
    ++history_[overdue.worker].harakiris;
    signal_worker(overdue.worker, SIGKILL);
  } else {
    const pid_t thread = slots_.slot(overdue.worker, overdue.thread).thread();
    syscall(SYS_tgkill, pid, thread, harakiri_signal());
  }
}

}  // namespace forktail::server
