#include "server/generation/generation.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/child/template.h"
#include "server/child/worker.h"
#include "server/shared/describe.h"

namespace forktail::server {

namespace {

using log::EventKind;
using std::chrono::milliseconds;

std::vector<int> descriptors_of(const std::vector<Listener>& listeners) {
  std::vector<int> descriptors;
  descriptors.reserve(listeners.size());
  for (const Listener& listener : listeners) {
    descriptors.push_back(listener.descriptor.get());
  }
  return descriptors;
}

// Lines that have waited for a second are to be seen soon.
constexpr milliseconds kGroupPace{250};

int first_workers(const Options& options) {
  return options.cheaper == 0 ? options.processes
                              : std::max(options.cheaper, options.cheaper_initial);
}

}  // namespace

int seats_for(const Options& options) { return options.processes * 2 + 8; }

Generation::Generation(int number, Options options, const std::vector<Listener>& listeners,
                       log::Sink& sink, KeptNumbers numbers)
    : number_(number),
      options_(std::move(options)),
      sink_(sink),
      slots_(seats_for(options_), options_.threads),
      kept_connections_(descriptors_of(listeners), numbers, seats_for(options_), sink),
      harakiri_(options_, slots_),
      cheaper_(options_, slots_),
      group_pace_(options_.log_groups ? kGroupPace : milliseconds(0)),
      wanted_(first_workers(options_)) {
  if (options_.log_groups) {
    log_groups_.emplace(slots_.seats(), slots_.threads());
  }
  start_template();
}

Generation::Generation(int number, Options options, const std::vector<Listener>& listeners,
                       log::Sink& sink, KeptNumbers numbers, const Refork& refork)
    : number_(number),
      options_(std::move(options)),
      sink_(sink),
      slots_(seats_for(options_), options_.threads),
      kept_connections_(descriptors_of(listeners), numbers, seats_for(options_), sink),
      harakiri_(options_, slots_),
      cheaper_(options_, slots_),
      group_pace_(options_.log_groups ? kGroupPace : milliseconds(0)),
      wanted_(first_workers(options_)) {
  adopt_template(refork);
}

GenerationShare Generation::share() {
  return {getpid(), number_, options_, slots_, kept_connections_.share(), sink_, log_groups_};
}

void Generation::start_template() {
  auto [ours, theirs] = Channel::make();
  const GenerationShare shared = share();  // with the master's pid
  const pid_t pid = fork();
  if (pid < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot fork the template");
  }
  if (pid == 0) {
    run_template(shared, std::move(theirs));
  }
  template_pid_ = pid;
  template_ = std::move(ours);
  template_loaded_ = false;
  template_started_ = Clock::now();
  restart_template_at_.reset();
}

void Generation::start_missing_workers() {
  if (!template_loaded_ || (phase_ != Phase::starting && phase_ != Phase::serving)) {
    return;
  }
  const Clock::time_point now = Clock::now();
  for (int worker = 1; worker <= wanted_; ++worker) {
    const auto absent = absent_.find(worker);
    if (!workers_.contains(worker) && (absent == absent_.end() || absent->second <= now)) {
      absent_.erase(worker);
      start_worker(worker);
    }
  }
}

void Generation::start_worker(int worker) {
  auto [ours, theirs] = Channel::make();
  slots_.seat(worker).pid = 0;
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    slots_.slot(worker, thread).clear();
  }
  if (log_groups_) {
    log_groups_->clear(worker);
  }
  kept_connections_.admit(worker);
  slots_.seat(worker).reopened = slots_.board().reopen.load();
  if (template_.send({MessageType::spawn, worker, {}, theirs.release()})) {
    if (!first_starts_.insert(worker).second) {
      ++history_[worker].respawns;
    }
    workers_[worker] = {std::move(ours), Clock::now()};
    workers_[worker].requests_before = counters_of(worker).requests;
  } else {
    absent_[worker] =
        Clock::now() + milliseconds(100);  // its queue is full, or it is about to be reaped
  }
}

void Generation::watch(std::vector<pollfd>& watched) const {
  const auto add = [&](const Channel& channel) {
    if (channel.descriptor() >= 0) {
      watched.push_back({channel.descriptor(), POLLIN, 0});
    }
  };
  add(template_);
  watched.push_back({kept_connections_.incoming(), POLLIN, 0});
  for (const auto& [worker, child] : workers_) {
    add(child.channel);
  }
}

void Generation::read_messages() {
  kept_connections_.read_mail();
  end_liars();
  read_template_messages();
  std::vector<std::pair<int, Message>> messages;  // acting on one may change the map
  for (auto& [worker, child] : workers_) {
    bool ended = child.channel.descriptor() < 0;
    while (!ended) {
      std::optional<Message> message = child.channel.receive(ended);
      if (!message) {
        break;
      }
      messages.emplace_back(worker, std::move(*message));
    }
    if (ended) {
      child.channel.close();  // its death is about to be reported
    }
  }
  for (const auto& [worker, message] : messages) {
    on_worker_message(worker, message);
  }
}

// A process that sends what none of the server's sends is not the one that was started.
void Generation::end_liars() {
  for (const pid_t pid : kept_connections_.take_liars()) {
    if (const std::optional<int> id = worker_of(pid)) {
      tell_of(EventKind::worker_killed, *id, "killing {}: {}", "it sent what no worker sends");
      signal_worker(*id, SIGKILL);
    }
  }
}

void Generation::read_template_messages() {
  bool ended = template_.descriptor() < 0;
  while (!ended) {
    const std::optional<Message> message = template_.receive(ended);
    if (!message) {
      break;
    }
    if (message->type == MessageType::loaded) {
      template_loaded_ = true;
      start_missing_workers();
    } else if (message->type == MessageType::load_failed) {
      if (phase_ == Phase::starting) {
        fail(message->text);
      } else {
        sink_.write(EventKind::template_failed, {},
                    "the template could not load again: " + message->text,
                    {{"reason", message->text}});
      }
    } else if (message->type == MessageType::spawn_failed) {
      sink_.write(EventKind::fork_failed, {},
                  fmt::format("worker {} could not be forked: {}", message->worker, message->text),
                  {{"of_worker", std::int64_t{message->worker}}, {"reason", message->text}});
      workers_.erase(message->worker);
      kept_connections_.dismiss(message->worker);
      absent_[message->worker] =
          Clock::now() + std::max(backoff_[message->worker].after_death({}), milliseconds(100));
    }
  }
  if (ended) {
    template_.close();
  }
}

void Generation::on_worker_message(int worker, const Message& message) {
  if (message.type == MessageType::ready) {
    workers_[worker].ready = true;
    if (slots_.seat(worker).reopened < slots_.board().reopen) {
      signal_worker(worker, SIGUSR1);  // the log was to be reopened while it started
    }
    tell_of(EventKind::worker_ready, worker, "{} ready");
    if (slots_.board().retiring == worker) {
      slots_.board().retiring = 0;
    }
    check_serving();
  } else if (message.type == MessageType::start_failed) {
    if (phase_ == Phase::starting) {
      fail(fmt::format("worker {} could not start: {}", worker, message.text));
    } else {
      const std::string line = fmt::format("worker {} could not start: {}", worker, message.text);
      sink_.write(EventKind::worker_start_failed, {}, line,
                  {{"of_worker", std::int64_t{worker}}, {"reason", message.text}});
      note_failed_start(line);
      workers_[worker].failed = true;
    }
  } else if (message.type == MessageType::reforked && worker == reforking_) {
    on_reforked(worker);
  } else if (message.type == MessageType::refork_failed && worker == reforking_) {
    on_refork_failed(message.text);
  } else if (message.type == MessageType::leaving) {
    Child& child = workers_[worker];
    child.leaving = true;
    child.kill_at = child.kill_at.value_or(Clock::now() + options_.worker_reload_mercy);
  }
}

bool Generation::accepting() const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker.second.ready; });
}

void Generation::check_serving() {
  const auto ready = std::count_if(workers_.begin(), workers_.end(),
                                   [](const auto& worker) { return worker.second.ready; });
  if (phase_ == Phase::starting && ready >= wanted_) {
    phase_ = Phase::serving;
  }
}

std::optional<Generation::Clock::time_point> Generation::next_deadline() const {
  std::optional<Clock::time_point> next = kept_connections_.next_deadline();
  const auto consider = [&](Clock::time_point at) {
    if (!next || at < *next) {
      next = at;
    }
  };
  for (const auto at :
       {harakiri_.next(), cheaper_.next(), group_pace_.next(), next_start_deadline()}) {
    if (at) {
      consider(*at);
    }
  }
  for (const auto& [worker, child] : workers_) {
    if (child.kill_at) {
      consider(*child.kill_at);
    } else if (options_.max_worker_lifetime.count() > 0 && child.ready &&
               slots_.board().retiring == 0) {
      consider(child.started + options_.max_worker_lifetime);
    }
  }
  if (restart_template_at_) {
    consider(*restart_template_at_);
  }
  if (template_loaded_) {
    for (const auto& [worker, until] : absent_) {
      consider(until);
    }
  }
  return next;
}

void Generation::act_on_deadlines() {
  const Clock::time_point now = Clock::now();
  kept_connections_.act_on_deadlines();
  for (auto& [worker, child] : workers_) {
    if (child.kill_at && *child.kill_at <= now) {
      tell_of(EventKind::worker_killed, worker, "killing {}: {}",
              "it had not left within its mercy");
      child.kill_at.reset();
      signal_worker(worker, SIGKILL);
    }
  }
  give_up_slow_starts();
  retire_the_old();
  look_at_requests();
  scale_to_load();
  if (restart_template_at_ && *restart_template_at_ <= now) {
    try {
      start_template();
    } catch (const std::system_error& error) {
      sink_.write(EventKind::fork_failed, {}, error.what(), {{"reason", error.what()}});
      restart_template_at_ = now + std::chrono::seconds(1);
    }
  }
  start_missing_workers();
}

void Generation::scale(int wanted) {
  wanted_ = std::clamp(wanted, 1, slots_.seats());
  for (auto& [worker, child] : workers_) {
    if (worker > wanted_ && !child.leaving) {
      send_away(worker, child, options_.worker_reload_mercy);
    }
  }
  std::erase_if(absent_, [&](const auto& absence) { return absence.first > wanted_; });
  start_missing_workers();
}

void Generation::send_away(int worker, Child& child, milliseconds mercy) {
  child.leaving = true;
  child.kill_at = Clock::now() + mercy;
  signal_worker(worker, SIGTERM);
}

void Generation::reopen_logs() {
  ++slots_.board().reopen;
  for (const auto& [worker, child] : workers_) {
    if (child.ready) {  // before, the signal would end it
      signal_worker(worker, SIGUSR1);
    }
  }
}

void Generation::signal_worker(int worker, int signal) const {
  const pid_t pid = slots_.seat(worker).pid;
  if (pid > 0) {
    ::kill(pid, signal);
  }
}

void Generation::leave(bool stopping) {
  if (phase_ != Phase::failed) {
    phase_ = Phase::leaving;
  }
  slots_.board().stopping = stopping;
  slots_.board().leaving = true;
  kept_connections_.stop_accepting();
  kept_connections_.give_back_idle();
  template_.close();
  if (template_pid_ > 0 && !template_loaded_) {
    ::kill(template_pid_,
           SIGKILL);  // it looks at its channel when it has loaded, which may be never
  }
  absent_.clear();
  restart_template_at_.reset();
  for (auto& [worker, child] : workers_) {
    send_away(worker, child, options_.reload_mercy);
  }
}

void Generation::kill(const std::string& why) {
  for (auto& [worker, child] : workers_) {
    tell_of(EventKind::worker_killed, worker, "killing {}: {}", why);
    child.kill_at.reset();
  }
  kill_processes();
}

void Generation::fail(const std::string& why) {
  if (phase_ == Phase::failed) {
    return;
  }
  phase_ = Phase::failed;
  failure_ = why;
  slots_.board().leaving = true;
  absent_.clear();
  restart_template_at_.reset();
  for (auto& [worker, child] : workers_) {
    if (!child.ready) {
      signal_worker(worker, SIGKILL);
    } else if (!child.leaving) {
      // It has accepted connections like any other, and what it has begun it answers.
      send_away(worker, child, options_.worker_reload_mercy);
    }
  }
  kill_template();
}

void Generation::note_failed_start(const std::string& why) {
  ++failed_starts_;
  last_failed_start_ = why;
}

void Generation::tell_of(EventKind kind, int worker, std::string_view pattern,
                         const std::string& reason) const {
  const pid_t pid = slots_.seat(worker).pid;
  const std::string message = fmt::format(fmt::runtime(pattern), describe(worker, pid), reason);
  const std::array<log::Field, 3> fields{
      {{"of_worker", std::int64_t{worker}}, {"of_pid", std::int64_t{pid}}, {"reason", reason}}};
  sink_.write(kind, {}, message, std::span(fields).first(reason.empty() ? 2 : 3));
}

void Generation::kill_processes() const {
  for (const auto& [worker, child] : workers_) {
    signal_worker(worker, SIGKILL);
  }
  kill_template();
}

void Generation::kill_template() const {
  if (template_pid_ > 0) {
    ::kill(template_pid_, SIGKILL);
  }
}

// Those that the template was told to fork and did not. One that it was just forking finds its
// channel closed and ends by itself.
void Generation::forget_unforked_workers() {
  std::erase_if(workers_, [&](const auto& entry) {
    const int worker = entry.first;
    if (slots_.seat(worker).pid != 0) {
      return false;
    }
    kept_connections_.dismiss(worker);
    return true;
  });
}

}  // namespace forktail::server
