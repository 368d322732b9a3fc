#include "server/generation/generation.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "server/child/refork.h"
#include "server/child/template.h"
#include "server/os/earliest.h"
#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;
using std::chrono::milliseconds;

Generation::Generation(int number, Options options, std::vector<int> listeners, log::Sink& sink,
                       KeptNumbers numbers, const Refork* refork)
    : master_(getpid()),
      number_(number),
      options_(std::move(options)),
      sink_(sink),
      parts_(options_, std::move(listeners), numbers, sink),
      scale_(options_, parts_.slots(), sink),
      workers_(parts_.slots()),
      starts_(parts_, template_, workers_, sink),
      lines_(sink, parts_.slots(), workers_),
      deaths_(parts_, workers_, lines_, sink),
      deadlines_(options_, parts_.slots(), template_, workers_, lines_, sink),
      refork_(options_, workers_, sink) {
  if (refork != nullptr) {
    adopt_template(*refork);
  }
}

GenerationShare Generation::share() {
  return {master_,
          number_,
          options_,
          parts_.slots(),
          parts_.kept_connections().share(),
          sink_,
          parts_.log_groups()};
}

void Generation::adopt_template(const Refork& refork) {
  std::pair<Channel, Channel> ends = Channel::make();
  template_.adopt(refork.pid, std::move(ends.first));
  if (!send_share(refork.orders, share(), ends.second)) {
    fail("the worker that is to be the template can not be reached: " +
         std::generic_category().message(errno));
  }
}

bool Generation::fork_template() {
  try {
    if (std::optional<Channel> orders = template_.start()) {
      orders_ = std::move(*orders);
      return true;
    }
  } catch (const std::runtime_error& error) {
    if (phase_ == Phase::starting) {
      fail(error.what());
    } else {
      sink_.write(EventKind::fork_failed, {}, error.what(), {{"reason", error.what()}});
      template_.start_later(std::chrono::seconds(1));
    }
  }
  return false;
}

void Generation::become_template() { run_template(share(), std::move(orders_)); }

void Generation::start_missing_workers() {
  if (!template_.loaded()) {
    return;
  }
  for (const int worker : workers_.missing(wanted(), Clock::now())) {
    const std::string why = starts_or_serves() ? starts_.order(worker) : "";
    if (!why.empty() && phase_ == Phase::starting) {
      fail(WorkerStarts::impossible(worker, why));
    } else if (!why.empty()) {
      starts_.try_again(worker, why);
    }
  }
}

void Generation::watch(std::vector<pollfd>& watched) const {
  if (template_.channel().descriptor() >= 0) {
    watched.push_back({template_.channel().descriptor(), POLLIN, 0});
  }
  watched.push_back({parts_.kept_connections().incoming(), POLLIN, 0});
  workers_.watch(watched);
}

void Generation::read_messages() {
  parts_.kept_connections().read_mail();
  for (const pid_t pid : parts_.kept_connections().take_liars()) {
    if (const std::optional<int> worker = workers_.number_of(pid)) {
      end_liar(*worker);
    }
  }
  read_template_messages();
  for (const auto& [worker, message] : workers_.read_messages()) {
    on_worker_message(worker, message);
  }
}

// A process that sends what none of the server's sends is not the one that was started.
void Generation::end_liar(int worker) {
  lines_.tell(EventKind::worker_killed, worker, "killing {}: {}", "it sent what no worker sends");
  workers_.kill(worker);
}

void Generation::read_template_messages() {
  for (const Message& message : template_.read_messages()) {
    on_template_message(message);
  }
  // It has ended, or will never hear anything.
  if (template_.pid() != 0 && template_.channel().descriptor() < 0 && starts_or_serves()) {
    template_.kill();
  }
}

void Generation::on_template_message(const Message& message) {
  if (message.type == MessageType::loaded) {
    template_.note_loaded();
    start_missing_workers();
  } else if (message.type == MessageType::load_failed) {
    if (phase_ == Phase::starting) {
      fail(message.text);
    } else {
      sink_.write(EventKind::template_failed, {},
                  "the template could not load again: " + message.text, {{"reason", message.text}});
    }
  } else if (message.type == MessageType::spawned) {
    on_spawned(message.worker, message.pid);
  } else if (message.type == MessageType::spawn_failed && starts_.note_spawn_failed(message) &&
             phase_ == Phase::starting) {
    fail(WorkerStarts::impossible(message.worker, message.text));
  }
}

void Generation::on_spawned(int worker, pid_t pid) {
  if (const std::optional<int> status = starts_.note_spawned(worker, pid)) {
    read_messages();  // its last words
    if (workers_.pid_of(worker) == pid) {
      on_worker_gone(worker, how_it_ended(*status));
    }
  }
}

void Generation::on_worker_message(int worker, const Message& message) {
  Workers::Process* process = workers_.find(worker);
  if (process == nullptr) {
    return;  // what it said before has ended it
  }
  if (message.type == MessageType::ready) {
    on_ready(worker);
  } else if (message.type == MessageType::start_failed) {
    on_start_failed(worker, message.text);
  } else if (message.type == MessageType::reforked && refork_.is(worker)) {
    on_reforked(worker);
  } else if (message.type == MessageType::refork_failed && refork_.is(worker)) {
    refork_.note_failed(message.text);
  } else if (message.type == MessageType::leaving) {
    process->leaving = true;
    process->kill_at = process->kill_at.value_or(Clock::now() + options_.worker_reload_mercy);
  } else if (!is_of_worker(message.type)) {
    end_liar(worker);
  }
}

void Generation::on_ready(int worker) {
  workers_.find(worker)->ready = true;
  lines_.tell(EventKind::worker_ready, worker, "{} ready");
  parts_.end_retirement(worker);
  if (phase_ == Phase::starting && workers_.count_ready() >= wanted()) {
    phase_ = Phase::serving;
  }
}

void Generation::on_start_failed(int worker, const std::string& why) {
  const std::string what = fmt::format("worker {} could not start: {}", worker, why);
  if (phase_ == Phase::starting) {
    return fail(what);
  }
  sink_.write(EventKind::worker_start_failed, {}, what,
              {{"of_worker", std::int64_t{worker}}, {"reason", why}});
  starts_.note_failed(what);
  workers_.find(worker)->failed = true;
}

// From here on it is no worker, and its place is filled as any other's.
void Generation::on_reforked(int worker) {
  refork_.note_done(workers_.pid_of(worker));
  workers_.remove(worker);
  parts_.dismiss(worker);
  workers_.start_later(worker, milliseconds(0));
  start_missing_workers();
}

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

void Generation::on_template_gone(pid_t pid, const std::string& how) {
  read_template_messages();  // why it could not load, if it said so
  const milliseconds wait = template_.ended();
  starts_.forget_unforked();
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
  const WorkerDeaths::Dead dead = deaths_.bury(worker, how);
  if (worker > wanted()) {
    parts_.end_retirement(worker);  // it has no successor for the next one to wait for
  }
  if (!dead.ready && !dead.expected) {
    const std::string why = fmt::format("worker {} was {} while it started", worker, how);
    if (phase_ == Phase::starting) {
      fail(why);
    } else if (!dead.failed) {
      starts_.note_failed(why);
    }
  }
  if (starts_or_serves()) {
    const auto longest = dead.ready ? Backoff::kLongestOnceReady : Backoff::kLongest;
    workers_.start_later(worker, dead.expected
                                     ? milliseconds(0)
                                     : workers_.backoff(worker).after_death(dead.served, longest));
    start_missing_workers();
  }
}

std::optional<Generation::Clock::time_point> Generation::next_deadline() const {
  return earliest(
      {parts_.next_deadline(workers_), deadlines_.next(phase_), scale_.next_look(),
       gone() ? std::optional(Clock::now()) : template_.start_at(),  // not forked at all
       template_.loaded() ? workers_.next_start() : std::nullopt});
}

void Generation::act_on_deadlines() {
  parts_.act_on_deadlines(workers_);
  const Deadlines::Late late = deadlines_.act(phase_);
  if (!late.failure.empty()) {
    fail(late.failure);
  }
  for (const std::string& why : late.failed_starts) {
    starts_.note_failed(why);
  }
  const auto by_load =
      scale_.look(phase_ == Phase::serving, parts_.kept_connections().share().listeners);
  if (by_load) {
    scale(*by_load);
  }
  start_missing_workers();
}

void Generation::scale(int wanted) {
  scale_.want(wanted);
  workers_.send_away_above(scale_.wanted(), options_.worker_reload_mercy);
  workers_.start_none_above(scale_.wanted());
  start_missing_workers();
}

void Generation::reopen_logs() {
  parts_.say_reopen();
  workers_.tell_all(orders::kReopen);
}

void Generation::leave(bool stopping) {
  if (phase_ != Phase::failed) {
    phase_ = Phase::leaving;
  }
  parts_.say_leaving(stopping);
  template_.let_go();
  workers_.start_none();
  workers_.send_all_away(options_.reload_mercy);
}

void Generation::kill(const std::string& why) {
  for (auto& [worker, process] : workers_.all()) {
    lines_.tell(EventKind::worker_killed, worker, "killing {}: {}", why);
    process.kill_at.reset();
    workers_.kill(worker);
  }
  template_.kill();
}

void Generation::fail(const std::string& why) {
  if (phase_ == Phase::failed) {
    return;
  }
  phase_ = Phase::failed;
  failure_ = why;
  parts_.say_leaving(false);
  workers_.start_none();
  template_.start_no_more();
  workers_.give_up_start(options_.worker_reload_mercy);
  template_.kill();
}

std::string Generation::status() const {
  return fmt::format("generation {} serves with {} workers, fork mode {}", number_, wanted(),
                     to_string(options_.fork_mode));
}

std::vector<WorkerStats> Generation::worker_stats(
    const std::map<pid_t, ProcessMemory>& memory) const {
  return workers_.stats(std::max(wanted(), options_.processes), number_, memory);
}

}  // namespace forktail::server
