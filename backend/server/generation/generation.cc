#include "server/generation/generation.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/child/refork.h"
#include "server/child/template.h"
#include "server/child/worker.h"
#include "server/os/listen_queue.h"
#include "server/shared/describe.h"

namespace forktail::server {

namespace {

using log::EventKind;
using std::chrono::milliseconds;

// Lines that have waited for a second are to be seen soon.
constexpr milliseconds kGroupPace{250};

int first_workers(const Options& options) {
  return options.cheaper == 0 ? options.processes
                              : std::max(options.cheaper, options.cheaper_initial);
}

}  // namespace

int seats_for(const Options& options) { return options.processes * 2 + 8; }

Generation::Generation(int number, Options options, std::vector<int> listeners, log::Sink& sink,
                       KeptNumbers numbers, const Refork* refork)
    : master_(getpid()),
      number_(number),
      options_(std::move(options)),
      sink_(sink),
      slots_(seats_for(options_), options_.threads),
      kept_connections_(std::move(listeners), numbers, seats_for(options_), sink),
      cheaper_(options_, slots_),
      group_pace_(options_.log_groups ? kGroupPace : milliseconds(0)),
      wanted_(first_workers(options_)),
      workers_(slots_),
      lines_(sink, slots_, workers_),
      deadlines_(options_, slots_, template_, workers_, lines_, sink),
      refork_(options_, workers_, sink) {
  if (options_.log_groups) {
    log_groups_.emplace(slots_.seats(), slots_.threads());
  }
  if (refork != nullptr) {
    adopt_template(*refork);
  }
}

GenerationShare Generation::share() {
  return {master_, number_, options_, slots_, kept_connections_.share(), sink_, log_groups_};
}

bool Generation::template_due() const {
  return template_.start_at() && *template_.start_at() <= Clock::now();
}

bool Generation::fork_template() {
  try {
    if (std::optional<Channel> orders = template_.start()) {
      orders_ = std::move(*orders);
      return true;
    }
  } catch (const std::system_error& error) {
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
  for (const int worker : workers_.missing(wanted_, Clock::now())) {
    if (starts_or_serves()) {
      start_worker(worker);
    }
  }
}

void Generation::start_worker(int worker) {
  std::pair<Channel, Channel> ends;
  try {
    ends = Channel::make();
  } catch (const std::system_error& error) {
    return on_start_impossible(worker, error.what());
  }
  auto& [ours, theirs] = ends;
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    slots_.slot(worker, thread).clear();
  }
  if (log_groups_) {
    log_groups_->clear(worker);
  }
  kept_connections_.admit(worker);
  restore_board();
  slots_.seat(worker).orders = 0;
  slots_.seat(worker).reopened = reopenings_;
  if (template_.spawn(worker, std::move(theirs))) {
    workers_.add(worker, std::move(ours));
  } else {
    // Its queue is full, or it is about to be reaped.
    workers_.start_later(worker, milliseconds(100));
  }
}

// The master lacks what it takes. Those that are there serve on.
void Generation::on_start_impossible(int worker, const std::string& why) {
  const std::string what = fmt::format("worker {} could not be started: {}", worker, why);
  if (phase_ == Phase::starting) {
    return fail(what);
  }
  sink_.write(EventKind::fork_failed, {}, what,
              {{"of_worker", std::int64_t{worker}}, {"reason", why}});
  note_failed_start(what);
  workers_.start_later(worker, std::chrono::seconds(1));
}

void Generation::watch(std::vector<pollfd>& watched) const {
  if (template_.channel().descriptor() >= 0) {
    watched.push_back({template_.channel().descriptor(), POLLIN, 0});
  }
  watched.push_back({kept_connections_.incoming(), POLLIN, 0});
  workers_.watch(watched);
}

void Generation::read_messages() {
  kept_connections_.read_mail();
  end_liars();
  read_template_messages();
  for (const auto& [worker, message] : workers_.read_messages()) {
    on_worker_message(worker, message);
  }
}

void Generation::end_liars() {
  for (const pid_t pid : kept_connections_.take_liars()) {
    if (const std::optional<int> worker = workers_.number_of(pid)) {
      end_liar(*worker);
    }
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
  } else if (message.type == MessageType::spawn_failed && workers_.has(message.worker) &&
             workers_.pid_of(message.worker) == 0) {
    sink_.write(EventKind::fork_failed, {},
                fmt::format("worker {} could not be forked: {}", message.worker, message.text),
                {{"of_worker", std::int64_t{message.worker}}, {"reason", message.text}});
    workers_.remove(message.worker);
    kept_connections_.dismiss(message.worker);
    workers_.start_later(message.worker, std::max(workers_.backoff(message.worker).after_death({}),
                                                  milliseconds(100)));
  }
}

// One that has died already was reaped before anybody could know what it was.
void Generation::on_spawned(int worker, pid_t pid) {
  if (Workers::is_child(pid)) {  // who had its number before is of no interest any more
    std::erase_if(unclaimed_, [pid](const auto& one) { return one.first == pid; });
  }
  const auto death = std::find_if(unclaimed_.begin(), unclaimed_.end(),
                                  [pid](const auto& one) { return one.first == pid; });
  if (death != unclaimed_.end() && workers_.pid_of(worker) == 0 && workers_.has(worker)) {
    const std::string how = how_it_ended(death->second);
    unclaimed_.erase(death);
    workers_.find(worker)->pid = pid;
    read_messages();
    if (workers_.pid_of(worker) == pid) {
      on_worker_gone(worker, how);
    }
  } else if (death == unclaimed_.end() && !workers_.note_spawned(worker, pid)) {
    sink_.write(
        EventKind::template_failed, {},
        fmt::format("killing the template (pid {}): it names pid {} as worker {}, which is no "
                    "process of the server's",
                    template_.pid(), pid, worker),
        {{"reason", "it lies"}});
    template_.kill();
  }
}

void Generation::on_worker_message(int worker, const Message& message) {
  Workers::Process* process = workers_.find(worker);
  if (process == nullptr) {
    return;  // what it said before has ended it
  }
  if (message.type == MessageType::ready) {
    process->ready = true;
    lines_.tell(EventKind::worker_ready, worker, "{} ready");
    if (slots_.board().retiring == worker) {
      slots_.board().retiring = 0;
    }
    check_serving();
  } else if (message.type == MessageType::start_failed) {
    const std::string why = fmt::format("worker {} could not start: {}", worker, message.text);
    if (phase_ == Phase::starting) {
      fail(why);
    } else {
      sink_.write(EventKind::worker_start_failed, {}, why,
                  {{"of_worker", std::int64_t{worker}}, {"reason", message.text}});
      note_failed_start(why);
      process->failed = true;
    }
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

void Generation::check_serving() {
  if (phase_ == Phase::starting && workers_.count_ready() >= wanted_) {
    phase_ = Phase::serving;
  }
}

std::optional<Generation::Clock::time_point> Generation::next_deadline() const {
  std::optional<Clock::time_point> next;
  const auto consider = [&](std::optional<Clock::time_point> at) {
    if (at && (!next || *at < *next)) {
      next = at;
    }
  };
  consider(kept_connections_.next_deadline());
  consider(bell_.next_deadline(Clock::now(), workers_.any_sleeps_through_orders()));
  consider(deadlines_.next(phase_));
  consider(cheaper_.next());
  consider(group_pace_.next());
  consider(template_.start_at());
  if (template_.loaded()) {
    consider(workers_.next_start());
  }
  return next;
}

void Generation::restore_board() {
  slots_.restore_board(!starts_or_serves(), stopping_, reopenings_);
}

void Generation::act_on_deadlines() {
  restore_board();
  kept_connections_.act_on_deadlines();
  bell_.attend(Clock::now(), workers_.any_sleeps_through_orders());
  const Deadlines::Late late = deadlines_.act(phase_);
  if (!late.failure.empty()) {
    fail(late.failure);
  }
  for (const std::string& why : late.failed_starts) {
    note_failed_start(why);
  }
  write_gathered();
  scale_to_load();
  start_missing_workers();
}

void Generation::write_gathered() {
  if (group_pace_.due(Clock::now())) {
    for (const auto& [worker, process] : workers_.all()) {
      sink_.write_gathered(log_groups_->of(worker), false);
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

void Generation::scale(int wanted) {
  wanted_ = std::clamp(wanted, 1, slots_.seats());
  for (const auto& [worker, process] : workers_.all()) {
    if (worker > wanted_ && !process.leaving) {
      workers_.send_away(worker, options_.worker_reload_mercy);
    }
  }
  workers_.start_none_above(wanted_);
  start_missing_workers();
}

void Generation::reopen_logs() {
  ++reopenings_;
  restore_board();
  workers_.tell_all(orders::kReopen);
}

void Generation::leave(bool stopping) {
  if (phase_ != Phase::failed) {
    phase_ = Phase::leaving;
  }
  stopping_ = stopping_ || stopping;
  restore_board();
  kept_connections_.stop_accepting();
  kept_connections_.give_back_idle();
  template_.let_go();
  workers_.start_none();
  for (const auto& [worker, process] : workers_.all()) {
    workers_.send_away(worker, options_.reload_mercy);
  }
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
  restore_board();
  workers_.start_none();
  template_.start_no_more();
  for (auto& [worker, process] : workers_.all()) {
    if (!process.ready) {
      process.ended = true;
      workers_.kill(worker);
    } else if (!process.leaving) {
      // It has accepted connections like any other, and what it has begun it answers.
      workers_.send_away(worker, options_.worker_reload_mercy);
    }
  }
  template_.kill();
}

void Generation::note_failed_start(const std::string& why) {
  ++failed_starts_;
  last_failed_start_ = why;
}

std::vector<WorkerStats> Generation::worker_stats(
    const std::map<pid_t, ProcessMemory>& memory) const {
  return workers_.stats(std::max(wanted_, options_.processes), number_, memory);
}

void Generation::add_pids(std::vector<pid_t>& pids) const {
  for (const auto& [worker, process] : workers_.all()) {
    if (process.pid > 0) {
      pids.push_back(process.pid);
    }
  }
}

// From here on it is no worker, and its place is filled as any other's.
void Generation::on_reforked(int worker) {
  refork_.note_done(workers_.pid_of(worker));
  workers_.remove(worker);
  kept_connections_.dismiss(worker);
  workers_.start_later(worker, milliseconds(0));
  start_missing_workers();
}

void Generation::adopt_template(const Refork& refork) {
  std::pair<Channel, Channel> ends = Channel::make();
  template_.adopt(refork.pid, std::move(ends.first));
  if (!send_share(refork.orders, share(), ends.second)) {
    fail("the worker that is to be the template can not be reached: " +
         std::generic_category().message(errno));
  }
}

// Those that the template was told to fork and did not. One that it was just forking finds its
// channel closed and ends by itself.
void Generation::forget_unforked_workers() {
  for (const int worker : workers_.remove_unforked()) {
    kept_connections_.dismiss(worker);
  }
}

}  // namespace forktail::server
