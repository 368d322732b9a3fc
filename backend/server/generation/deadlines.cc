#include "server/generation/deadlines.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "server/child/worker_harakiri.h"
#include "server/os/signals.h"

namespace forktail::server {

using log::EventKind;

Deadlines::Deadlines(const Options& options, const Slots& slots, Template& its_template,
                     Workers& workers, const WorkerLines& lines, log::Sink& sink)
    : options_(options),
      slots_(slots),
      template_(its_template),
      workers_(workers),
      lines_(lines),
      sink_(sink),
      harakiri_(options, slots) {}

std::optional<Deadlines::Clock::time_point> Deadlines::next(Phase phase) const {
  std::optional<Clock::time_point> next = next_start(phase);
  const auto consider = [&](std::optional<Clock::time_point> at) {
    if (at && (!next || *at < *next)) {
      next = at;
    }
  };
  consider(harakiri_.next());
  for (const auto& [worker, process] : workers_.all()) {
    if (process.kill_at) {
      consider(process.kill_at);
    } else if (options_.max_worker_lifetime.count() > 0 && process.ready &&
               slots_.board().retiring == 0) {
      consider(process.started + options_.max_worker_lifetime);
    }
  }
  return next;
}

std::optional<Deadlines::Clock::time_point> Deadlines::next_start(Phase phase) const {
  std::optional<Clock::time_point> next;
  if (options_.start_timeout.count() == 0) {
    return next;
  }
  // One that is not forked yet, which the loop is about to do, has no time that runs out.
  if (template_.pid() != 0 &&
      (phase == Phase::starting || (phase == Phase::serving && template_.loading()))) {
    next = template_.started() + options_.start_timeout;
  }
  for (const auto& [worker, process] : workers_.all()) {
    const Clock::time_point at = process.started + options_.start_timeout;
    if (phase == Phase::serving && !process.ready && !process.failed && (!next || at < *next)) {
      next = at;
    }
  }
  return next;
}

bool Deadlines::any(Phase phase) const {
  return next_start(phase) ||
         std::any_of(workers_.all().begin(), workers_.all().end(),
                     [](const auto& worker) { return worker.second.kill_at.has_value(); });
}

void Deadlines::postpone(Clock::duration missed) {
  template_.postpone(missed);
  for (auto& [worker, process] : workers_.all()) {
    process.started += missed;
    if (process.kill_at) {
      *process.kill_at += missed;
    }
  }
  harakiri_.postpone(Clock::now(), missed);
}

Deadlines::Late Deadlines::act(Phase phase) {
  kill_those_without_mercy();
  Late late = give_up_slow_starts(phase);
  if (phase == Phase::serving) {
    retire_the_old();
  }
  look_at_requests();
  return late;
}

void Deadlines::kill_those_without_mercy() {
  for (const int worker : workers_.out_of_mercy(Clock::now())) {
    lines_.tell(EventKind::worker_killed, worker, "killing {}: {}",
                "it had not left within its mercy");
    workers_.find(worker)->kill_at.reset();
    workers_.kill(worker);
  }
}

// What hangs in its load, or in on_worker_start.
Deadlines::Late Deadlines::give_up_slow_starts(Phase phase) {
  const Clock::time_point now = Clock::now();
  const auto limit = options_.start_timeout;
  if (const auto next = next_start(phase); !next || *next > now) {
    return {};
  }
  const std::string within = fmt::format("within start-timeout ({} ms)", limit.count());
  if (phase == Phase::starting) {
    return {template_.loaded() ? fmt::format("not every worker was ready {}", within)
                               : fmt::format("the application had not been loaded {}", within),
            {}};
  }
  if (template_.loading() && template_.started() + limit <= now) {
    sink_.write(
        EventKind::template_late, {},
        fmt::format("killing the template (pid {}): it had not loaded {}", template_.pid(), within),
        {{"of_pid", std::int64_t{template_.pid()}}, {"reason", "not loaded " + within}});
    template_.kill_late();
  }
  Late late;
  for (auto& [worker, process] : workers_.all()) {
    if (!process.ready && !process.failed && process.started + limit <= now) {
      late.failed_starts.push_back(fmt::format("worker {} was not ready {}", worker, within));
      lines_.tell(EventKind::worker_late, worker, "killing {}: {}", "it was not ready " + within);
      process.failed = true;
      workers_.kill(worker);
    }
  }
  return late;
}

// One at a time: the next when the last one's successor is ready.
void Deadlines::retire_the_old() {
  const auto lifetime = options_.max_worker_lifetime;
  if (lifetime.count() == 0 || slots_.board().retiring != 0) {
    return;
  }
  for (const auto& [worker, process] : workers_.all()) {
    int nobody = 0;
    if (process.ready && !process.leaving && process.started + lifetime <= Clock::now() &&
        slots_.board().retiring.compare_exchange_strong(nobody, worker)) {
      lines_.tell(EventKind::worker_replaced, worker, "{} is replaced: {}",
                  "it has lived for max-worker-lifetime");
      return workers_.send_away(worker, options_.worker_reload_mercy);
    }
  }
}

void Deadlines::look_at_requests() {
  const Clock::time_point now = Clock::now();
  if (!harakiri_.due(now)) {
    return;
  }
  for (const Overdue& overdue : harakiri_.overdue(now, workers_.numbers())) {
    lines_.tell_overdue(overdue);
    if (overdue.final) {
      ++workers_.history(overdue.worker).harakiris;
      workers_.kill(overdue.worker);
      continue;
    }
    const pid_t pid = workers_.pid_of(overdue.worker);
    if (handles(pid, harakiri_signal())) {  // or it would end one that takes no handlers
      const pid_t thread = slots_.slot(overdue.worker, overdue.thread).thread();
      syscall(SYS_tgkill, pid, thread, harakiri_signal());
    }
  }
}

}  // namespace forktail::server
