// What a generation does about workers that are old, requests that are overdue, and load.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "server/child/worker_harakiri.h"
#include "server/generation/generation.h"
#include "server/os/listen_queue.h"
#include "server/os/signals.h"
#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;

std::optional<Generation::Clock::time_point> Generation::next_start_deadline() const {
  std::optional<Clock::time_point> next;
  if (options_.start_timeout.count() == 0) {
    return next;
  }
  // One that is not forked yet, which the loop is about to do, has no time that runs out.
  if (template_.pid() != 0 &&
      (phase_ == Phase::starting || (phase_ == Phase::serving && template_.loading()))) {
    next = template_.started() + options_.start_timeout;
  }
  for (const auto& [worker, process] : workers_.all()) {
    const Clock::time_point at = process.started + options_.start_timeout;
    if (phase_ == Phase::serving && !process.ready && !process.failed && (!next || at < *next)) {
      next = at;
    }
  }
  return next;
}

bool Generation::has_deadlines() const {
  return next_start_deadline() ||
         std::any_of(workers_.all().begin(), workers_.all().end(),
                     [](const auto& worker) { return worker.second.kill_at.has_value(); });
}

void Generation::postpone(Clock::duration missed) {
  template_.postpone(missed);
  for (auto& [worker, process] : workers_.all()) {
    process.started += missed;
    if (process.kill_at) {
      *process.kill_at += missed;
    }
  }
  harakiri_.postpone(Clock::now(), missed);
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
    return fail(template_.loaded() ? fmt::format("not every worker was ready {}", within)
                                   : fmt::format("the application had not been loaded {}", within));
  }
  if (template_.loading() && template_.started() + limit <= now) {
    sink_.write(
        EventKind::template_late, {},
        fmt::format("killing the template (pid {}): it had not loaded {}", template_.pid(), within),
        {{"of_pid", std::int64_t{template_.pid()}}, {"reason", "not loaded " + within}});
    template_.kill_late();
  }
  for (auto& [worker, process] : workers_.all()) {
    if (!process.ready && !process.failed && process.started + limit <= now) {
      note_failed_start(fmt::format("worker {} was not ready {}", worker, within));
      tell_of(EventKind::worker_late, worker, "killing {}: {}", "it was not ready " + within);
      process.failed = true;
      workers_.kill(worker);
    }
  }
}

// One at a time: the next when the last one's successor is ready.
void Generation::retire_the_old() {
  const auto lifetime = options_.max_worker_lifetime;
  if (lifetime.count() == 0 || phase_ != Phase::serving || slots_.board().retiring != 0) {
    return;
  }
  for (const auto& [worker, process] : workers_.all()) {
    int nobody = 0;
    if (process.ready && !process.leaving && process.started + lifetime <= Clock::now() &&
        slots_.board().retiring.compare_exchange_strong(nobody, worker)) {
      tell_of(EventKind::worker_replaced, worker, "{} is replaced: {}",
              "it has lived for max-worker-lifetime");
      return workers_.send_away(worker, options_.worker_reload_mercy);
    }
  }
}

void Generation::look_at_requests() {
  const Clock::time_point now = Clock::now();
  if (group_pace_.due(now)) {
    for (const auto& [worker, process] : workers_.all()) {
      sink_.write_gathered(log_groups_->of(worker), false);
    }
  }
  if (harakiri_.due(now)) {
    for (const Overdue& overdue : harakiri_.overdue(now, workers_.numbers())) {
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
  const pid_t pid = workers_.pid_of(overdue.worker);
  const auto now = Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
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
  if (overdue.final) {
    ++workers_.history(overdue.worker).harakiris;
    workers_.kill(overdue.worker);
  } else if (handles(pid, harakiri_signal())) {  // or it would end one that takes no handlers
    const pid_t thread = slots_.slot(overdue.worker, overdue.thread).thread();
    syscall(SYS_tgkill, pid, thread, harakiri_signal());
  }
}

}  // namespace forktail::server
