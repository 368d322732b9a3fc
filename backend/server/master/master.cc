#include "server/master/master.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <system_error>
#include <utility>

#include "log/target.h"
#include "server/os/signals.h"
#include "server/shared/describe.h"
#include "server/shared/tls_files.h"

namespace forktail::server {

namespace {

using log::EventKind;
using Phase = Generation::Phase;

Descriptor watch_signals() {
  sigset_t obeyed;
  sigemptyset(&obeyed);
  for (const int signal :
       {SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH, SIGCHLD}) {
    sigaddset(&obeyed, signal);
  }
  pthread_sigmask(SIG_BLOCK, &obeyed, nullptr);
  Descriptor descriptor(signalfd(-1, &obeyed, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor) {
    throw std::system_error(errno, std::generic_category(), "cannot watch for signals");
  }
  return descriptor;
}

// The files are open here, in which no other process of this user may look: the application's are
// such.
void hide_key(const Options& options) {
  if (options.tls) {
    prctl(PR_SET_DUMPABLE, 0);
  }
}

}  // namespace

Master::Master(Options options, Means means)
    : options_(std::move(options)),
      at_start_(options_),
      sink_(std::move(means.sink)),
      listeners_(std::move(means.listeners)),
      read_options_(std::move(means.read_options)),
      systemd_(std::move(means.systemd)),
      program_(means.program),
      inherited_(means.inherited),
      pidfile_(means.pidfile),
      log_maker_(std::move(means.log_maker)),
      signals_(watch_signals()),
      touched_(options_.touch_reload),
      kept_numbers_(plan_kept_numbers(seats_for(options_))),
      tls_(std::move(inherited_.tls_queue), *sink_),
      change_(inherited_.generation),
      control_(*this, *sink_) {
  // Workers, which their template does not wait for, become children of this process.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  hide_key(options_);
}

std::variant<int, Master::Life> Master::run() {
  control_.open(options_, inherited_.endpoints);
  if (inherited_.pending()) {
    systemd_.wait();
  }
  systemd_.status("starting");
  start_generation(options_);
  if (!inherited_.pending()) {  // who may yet have to end as if nothing had been accepts nothing
    tls_.stand_before(change_.last(), options_, listeners_);
  }
  while (!exit_code_) {
    if (Life life = fork_children()) {
      return life;
    }
    for (const Step step : kSteps) {
      try {
        (this->*step)();
      } catch (const std::exception& error) {  // nothing that is short may end the server
        go_on(error);
      }
    }
  }
  control_.finish();
  return *exit_code_;
}

const std::array<Master::Step, 12> Master::kSteps{&Master::sleep,
                                                  &Master::obey_signals,
                                                  &Master::reload_when_touched,
                                                  &Master::mend_listeners,
                                                  &Master::reap,
                                                  &Master::attend_generations,
                                                  &Master::attend_tls,
                                                  &Master::attend_refork,
                                                  &Master::attend_upgrade,
                                                  &Master::attend_old_master,
                                                  &Master::attend_control,
                                                  &Master::keep_up};

void Master::mend_listeners() {
  if (!stopping_ && !replaced_ && !inherited_.pending() && shut_listeners_.mend()) {
    reload();
  }
}

void Master::attend_control() {
  if (!inherited_.pending()) {
    control_.attend();
  }
  control_.resolve();
}

void Master::keep_up() {
  systemd_.act_on_deadlines();
  if (replaced_) {
    ledger_->write(totals());
  }
  if (sink_->keeps_previous() && logs_reopened()) {
    sink_->forget_previous();
  }
}

Master::Life Master::fork_children() {
  for (const auto& generation : generations_) {
    if (generation->template_due() && generation->fork_template()) {
      return [child = generation.get()] { child->become_template(); };
    }
  }
  if (tls_.fork_due()) {
    return [this] { tls_.become_process(); };
  }
  return upgrade_ && upgrade_->due() ? fork_new_master() : nullptr;
}

void Master::obey_signals() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    obey(static_cast<int>(info.ssi_signo));
  }
}

void Master::obey(int signal) {
  switch (signal) {
    case SIGTERM:
    case SIGQUIT:
      // timeout(1), for one, sends its signal to the master and to the whole group: one stop.
      if (stopping_ && Generation::Clock::now() < first_stop_ + std::chrono::seconds(1)) {
        return;
      }
      return stop(stopping_);
    case SIGINT:
      return stop(true);
    case SIGHUP:
      reload();
      return;
    case SIGUSR1:
      return reopen_logs();
    case SIGUSR2:
      if (const std::string why = begin_upgrade(); !why.empty()) {
        sink_->write(EventKind::upgrade_failed, {}, "can not upgrade: " + why, {{"reason", why}});
      }
      return;
    case SIGTTIN:
    case SIGTTOU:
      if (with_workers() != nullptr) {
        scale(current_->wanted() + (signal == SIGTTIN ? 1 : -1));
        sink_->write(EventKind::scaled, {}, fmt::format("{} workers wanted", current_->wanted()),
                     {{"wanted", std::int64_t{current_->wanted()}},
                      {"reason", std::string_view(signal == SIGTTIN ? "SIGTTIN" : "SIGTTOU")}});
      }
      return;
    case SIGWINCH:
      if (has_terminal()) return;  // whose size has changed
      sink_->write(EventKind::workers_sent_away, {},
                   "SIGWINCH: ending the workers, keeping the master; SIGHUP starts them again");
      systemd_.status("without workers since SIGWINCH");
      workers_wanted_ = false;
      tls_.leave(false);
      for (const auto& generation : generations_) {
        generation->leave(false);
      }
      return;
    default:
      return;  // SIGCHLD, which is seen to by reap()
  }
}

void Master::reopen_logs() {
  log_maker_.ask();
  log_reopened_ = sink_->reopen_and_keep();
  for (const auto& generation : generations_) {
    generation->reopen_logs();
  }
}

bool Master::logs_reopened() const {
  return std::ranges::all_of(generations_,
                             [](const auto& generation) { return generation->logs_reopened(); });
}

void Master::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) {
      return;
    }
    if (upgrade_ && pid == upgrade_->pid()) {
      on_upgrade_failed(how_it_ended(status));
      continue;
    }
    if (control_.reaped(pid)) {
      continue;
    }
    if (tls_.reap(pid, status)) {
      continue;
    }
    const bool claimed = std::ranges::any_of(generations_, [pid, status](const auto& generation) {
      return generation->reap(pid, status);
    });
    if (!claimed) {  // an orphan of an application's own, or a worker that nobody knows yet
      for (const auto& generation : generations_) {
        generation->keep_unclaimed(pid, status);
      }
    }
  }
}

void Master::attend_generations() {
  note_pause(attention_.looks_up(Attention::Clock::now()));
  for (const auto& generation : generations_) {
    generation->read_messages();
    generation->act_on_deadlines();
  }
  if (Generation* newest = generations_.empty() ? nullptr : generations_.back().get();
      newest != nullptr && newest != current_ && newest->phase() == Phase::serving) {
    take_over(*newest);
  }
  tell_systemd_of_first_worker();
  std::erase_if(generations_, [this](const auto& generation) {
    if (!generation->gone()) {
      return false;
    }
    on_gone(*generation);
    return true;
  });
  if (generations_.empty() && tls_.gone() && workers_wanted_ && !upgrade_ && !exit_code_) {
    exit_code_ = 0;
  }
  if (changing()) {
    return;
  }
  if (change_.asked_again() && !exit_code_) {
    reload_once_more();
  } else {
    change_.end_trial();  // what was tried has served by now, or failed
  }
}

// The reload that was asked for while another one was under way.
void Master::reload_once_more() {
  change_.take_again();
  const std::string why = reload();
  if (!why.empty()) {
    change_.note_failure(change_.next(), why);  // somebody may be waiting for this generation
  }
}

// The new generation serves: now, and not before, the others may leave.
void Master::take_over(Generation& next) {
  current_ = &next;
  workers_wanted_ = true;
  options_ = next.options();
  tls_.stand_before(next.number(), options_, listeners_);
  touched_.watch(options_.touch_reload);
  change_.note_served(options_.fork_mode);
  sink_->write(EventKind::serving, {}, serving_status(),
               {{"generation", std::int64_t{current_->number()}},
                {"workers", std::int64_t{current_->wanted()}},
                {"fork_mode", to_string(options_.fork_mode)}});
  systemd_.ready(serving_status());
  told_ready_ = true;
  if (inherited_.pending()) {
    inherited_.old_master.send({MessageType::ready});
  }
  for (const auto& generation : generations_) {
    if (generation.get() != current_) {
      generation->leave(false);
    }
  }
}

void Master::scale(int wanted) {
  current_->scale(wanted);
  systemd_.status(serving_status());
}

std::string Master::serving_status() const { return current_->status(); }

// The start of the server is over, for those who wait for it, before all of its workers are there.
void Master::tell_systemd_of_first_worker() {
  if (!told_ready_ && !generations_.empty() && generations_.back()->accepting()) {
    systemd_.ready("the first worker accepts requests");
    told_ready_ = true;
  }
}

void Master::on_gone(const Generation& generation) {
  if (&generation == current_) {
    current_ = nullptr;
  }
  past_.add(generation.totals());
  if (generation.phase() != Phase::failed) {
    sink_->write(EventKind::generation_left, {},
                 fmt::format("generation {} has left", generation.number()),
                 {{"generation", std::int64_t{generation.number()}}});
    return;
  }
  change_.note_failure(generation.number(), generation.failure());
  const std::array<log::Field, 2> fields{
      {{"generation", std::int64_t{generation.number()}}, {"reason", generation.failure()}}};
  if (current_ != nullptr) {
    const std::string status =
        fmt::format("generation {} could not start, generation {} goes on serving: {}",
                    generation.number(), current_->number(), generation.failure());
    sink_->write(EventKind::reload_failed, {}, status, fields);
    systemd_.ready(status);  // a reload that is over, though it failed
  } else if (!workers_wanted_) {
    sink_->write(
        EventKind::reload_failed, {},
        fmt::format("generation {} could not start, the server goes on without workers: {}",
                    generation.number(), generation.failure()),
        fields);
  } else {
    sink_->write(EventKind::start_failed, {}, "could not start: " + generation.failure(),
                 {{"reason", generation.failure()}});
    if (inherited_.pending()) {
      inherited_.old_master.send({MessageType::start_failed, 0, generation.failure()});
    }
    if (!log::means_stderr(sink_->target())) {
      fmt::print(stderr, "forktail serve: could not start: {}\n", generation.failure());
    }
    exit_code_ = stopping_ ? 0 : 1;
  }
}

void Master::start_generation(Options options) {
  if (kept_numbers_.count == 0 && options.keepalive_timeout.count() > 0) {
    sink_->write(EventKind::keepalive_off, {},
                 "no descriptors are left to keep connections: raise the limit of open files "
                 "(LimitNOFILE, ulimit -n)",
                 {{"reason", "the limit of open files"}});
  }
  std::vector<int> listeners = tls_.for_workers(listeners_, options);
  generations_.push_back(std::make_unique<Generation>(change_.next(), std::move(options),
                                                      std::move(listeners), *sink_, kept_numbers_));
}

std::string Master::reload() {
  if (stopping_) {
    return "the server is stopping";
  }
  if (upgrade_ || replaced_) {
    constexpr const char* kWhy = "an upgrade is under way, which reads the configuration anew";
    sink_->write(EventKind::reload_failed, {}, fmt::format("no reload: {}", kWhy),
                 {{"reason", std::string_view(kWhy)}});
    return kWhy;
  }
  if (changing()) {
    change_.ask_again();
    sink_->write(EventKind::reload_deferred, {}, "a reload is under way; another one follows it");
    return {};
  }
  sink_->write(EventKind::reload, {}, "reloading");
  systemd_.reloading("reloading");
  try {
    Options options = read_options_();
    options.tls = load_tls(options, options_.tls.get(), sink_.get());
    hide_key(options);
    if (const auto names = fixed_options_that_differ(at_start_, options); !names.empty()) {
      const std::string list = fmt::format("{}", fmt::join(names, ", "));
      sink_->write(EventKind::options_not_applied, {},
                   list + " changed, which takes an upgrade (SIGUSR2) or a restart",
                   {{"options", list}});
    }
    if (change_.mode()) {
      set_fork_mode(options, *change_.mode());
    }
    start_generation(std::move(options));
    return {};
  } catch (const std::exception& error) {
    const std::string status = fmt::format("can not reload, nothing has changed: {}", error.what());
    sink_->write(EventKind::reload_failed, {}, status, {{"reason", error.what()}});
    systemd_.ready(status);
    return error.what();
  }
}

void Master::reload_when_touched() {
  const std::optional<std::string> path = touched_.changed(Generation::Clock::now());
  if (path && !stopping_) {
    sink_->write(EventKind::touched, {}, *path + " was touched (touch-reload)", {{"path", *path}});
    reload();
  }
}

}  // namespace forktail::server
