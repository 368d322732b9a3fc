#include "server/master/master.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include "log/target.h"
#include "server/os/children.h"
#include "server/os/waiting.h"

namespace forktail::server {

namespace {

using log::EventKind;
using std::chrono::milliseconds;

// So that what fails again and again takes no processor.
constexpr milliseconds kPauseOfFailed{100};
// Some of what is waited for shows in shared memory only.
constexpr milliseconds kLookAtMemory{10};

}  // namespace

Master::Master(Options options, Means means)
    : at_start_(std::move(options)),
      sink_(std::move(means.sink)),
      systemd_(std::move(means.systemd)),
      inherited_(means.inherited),
      signals_(*this, *sink_),
      control_(*this, *sink_),
      files_(std::move(means.listeners), control_.endpoints(), means.pidfile,
             std::move(means.log_maker), at_start_, *sink_),
      generations_(plan_kept_numbers(seats_for(at_start_)), *sink_),
      tls_(std::move(inherited_.tls_queue), *sink_),
      reloads_(at_start_, inherited_.generation,
               {std::move(means.read_options), generations_, files_, tls_, systemd_, *sink_}),
      upgrades_(means.program, files_, tls_.queue(), systemd_, *sink_),
      stop_(generations_, tls_, files_, systemd_, *sink_) {
  // Workers, which their template does not wait for, become children of this process.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

std::variant<int, Master::Life> Master::run() {
  control_.open(at_start_, inherited_.endpoints);
  if (inherited_.pending()) {
    systemd_.wait();
  }
  systemd_.status("starting");
  reloads_.start();
  if (!inherited_.pending()) {  // who may yet have to end as if nothing had been accepts nothing
    tls_.stand_before(change().last(), at_start_, files_.listeners());
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
                                                  &Master::attend_tls,
                                                  &Master::attend_generations,
                                                  &Master::attend_refork,
                                                  &Master::attend_upgrade,
                                                  &Master::attend_old_master,
                                                  &Master::attend_control,
                                                  &Master::keep_up};

Master::Life Master::fork_children() {
  if (Life life = generations_.fork_due()) {
    return life;
  }
  if (tls_.fork_due()) {
    return [this] { tls_.become_process(); };
  }
  return upgrades_.fork_due();
}

// Until a signal, a message or a deadline.
void Master::sleep() {
  Waiting waiting;
  waiting.until_readable(signals_.descriptor());
  waiting.until(systemd_.next_deadline());
  waiting.until(reloads_.next_look());
  waiting.until_event_of(generations_);
  waiting.until_event_of(tls_);
  waiting.until_event_of(upgrades_);
  if (generations_.has_deadlines() || upgrades_.under_way()) {
    waiting.at_most(Attention::kLongestSleep);
  }
  if (sole()) {
    files_.watch(waiting.watched());
  }
  if (inherited_.pending()) {
    waiting.until_readable(inherited_.old_master.descriptor());
  } else {
    waiting.until_event_of(control_);
  }
  if (stop_.looks() || control_.awaited() || sink_->keeps_previous()) {
    waiting.at_most(kLookAtMemory);
  }
  const std::optional<milliseconds> timeout = waiting.timeout();
  attention_.sleeps(Attention::Clock::now(), timeout);
  if (!waiting.sleep(timeout) && errno != EINTR) {
    std::this_thread::sleep_for(kPauseOfFailed);  // its limit of files was lowered, perhaps
  }
  note_pause(attention_.wakes(Attention::Clock::now()));
}

// Deadlines come as much later as nobody could do anything about them.
void Master::note_pause(Attention::Clock::duration missed) {
  if (missed == missed.zero()) {
    return;
  }
  if (missed >= std::chrono::seconds(1)) {
    const std::int64_t ms = std::chrono::round<milliseconds>(missed).count();
    sink_->write(EventKind::paused, {},
                 fmt::format("the server stood still for {} ms: its machine was paused, or its "
                             "processes were; that time counts for no deadline",
                             ms),
                 {{"paused_ms", ms}});
  }
  generations_.postpone(missed);
  tls_.postpone(missed);
  upgrades_.postpone(missed);
}

void Master::go_on(const std::exception& error) noexcept {
  constexpr std::chrono::seconds kSilence{1};
  const auto now = Attention::Clock::now();
  if (now >= silent_until_) {
    silent_until_ = now + kSilence;
    sink_->write(EventKind::step_failed, {}, "the master goes on without what it could not do",
                 {{"reason", std::string_view(error.what())}});
  }
  std::this_thread::sleep_for(kPauseOfFailed);
}

void Master::reload_when_touched() {
  const std::optional<std::string> path = reloads_.touched();
  if (path && !stopping()) {
    sink_->write(EventKind::touched, {}, *path + " was touched (touch-reload)", {{"path", *path}});
    reload();
  }
}

void Master::mend_listeners() {
  if (sole() && files_.mend()) {
    reload();
  }
}

void Master::reap() {
  reap_children([this](pid_t pid, int status) {
    if (!upgrades_.reap(pid, status) && !control_.reaped(pid) && !tls_.reap(pid, status)) {
      generations_.reap(pid, status);
    }
  });
}

void Master::attend_generations() {
  note_pause(attention_.looks_up(Attention::Clock::now()));
  if (reloads_.attend_generations(stopping())) {
    on_serving();
  }
  // The start of the server is over, for those who wait for it, before all of its workers are
  // there.
  if (!told_ready_ && generations_.accepting()) {
    systemd_.ready("the first worker accepts requests");
    told_ready_ = true;
  }
  for (const Generations::Failed& failed : generations_.forget_gone()) {
    if (reloads_.note_failed(failed, workers_wanted_)) {
      on_start_failed(failed.why);
    }
  }
  if (generations_.empty() && tls_.gone() && workers_wanted_ && !upgrades_.under_way() &&
      !exit_code_) {
    exit_code_ = 0;
  }
  if (reloads_.settle() && !exit_code_) {
    if (const std::string why = reload(); !why.empty()) {
      change().note_failure(change().next(), why);  // somebody may be waiting for this generation
    }
  }
}

// A new generation serves: now, and not before, the others may leave.
void Master::on_serving() {
  workers_wanted_ = true;
  reloads_.note_serving();
  told_ready_ = true;
  inherited_.tell({MessageType::ready});
  generations_.leave_to_current();
}

void Master::on_start_failed(const std::string& why) {
  sink_->write(EventKind::start_failed, {}, "could not start: " + why, {{"reason", why}});
  inherited_.tell({MessageType::start_failed, 0, why});
  if (!log::means_stderr(sink_->target())) {
    fmt::print(stderr, "forktail serve: could not start: {}\n", why);
  }
  exit_code_ = stopping() ? 0 : 1;
}

void Master::attend_upgrade() {
  if (!upgrades_.attend()) {
    return;
  }
  upgrades_.hand_over();
  upgrades_.write(totals());
  workers_wanted_ = true;  // so that the end of the last worker ends the master
  generations_.leave(false);
  tls_.leave(false);
  upgrades_.end();
}

// When the old master leaves, or has died, nobody else cleans up behind this server.
void Master::attend_old_master() {
  if (!inherited_.pending() || !inherited_.has_left()) {
    return;
  }
  sink_->write(EventKind::in_charge, {}, "in charge");
  files_.inherit(inherited_);
  systemd_.take_over();
  if (current() != nullptr) {
    systemd_.ready(current()->status());
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
  if (upgrades_.replaced()) {
    upgrades_.write(totals());
  }
  if (sink_->keeps_previous() && generations_.logs_reopened()) {
    sink_->forget_previous();
  }
}

std::string Master::reload() {
  if (stopping()) {
    return "the server is stopping";
  }
  if (upgrades_.under_way() || upgrades_.replaced()) {
    constexpr const char* kWhy = "an upgrade is under way, which reads the configuration anew";
    sink_->write(EventKind::reload_failed, {}, fmt::format("no reload: {}", kWhy),
                 {{"reason", std::string_view(kWhy)}});
    return kWhy;
  }
  return reloads_.reload();
}

std::string Master::refork() {
  if (stopping()) {
    return "the server is stopping";
  }
  if (upgrades_.under_way() || upgrades_.replaced()) {
    return "an upgrade is under way";
  }
  return reloads_.refork();
}

std::string Master::begin_upgrade() {
  if (stopping()) {
    return "the server is stopping";
  }
  if (upgrades_.under_way()) {
    return "an upgrade is under way";
  }
  if (upgrades_.replaced() || inherited_.pending()) {
    return "two masters are there already: one of them is about to leave";
  }
  if (reloads_.under_way()) {
    return "a reload is under way; upgrade when it is over";
  }
  return upgrades_.begin(change().last(), reloads_.options());
}

void Master::scale(int wanted) {
  generations_.current()->scale(wanted);
  systemd_.status(current()->status());
}

void Master::send_workers_away() {
  sink_->write(EventKind::workers_sent_away, {},
               "SIGWINCH: ending the workers, keeping the master; SIGHUP starts them again");
  systemd_.status("without workers since SIGWINCH");
  workers_wanted_ = false;
  tls_.leave(false);
  generations_.leave(false);
}

void Master::reopen_logs() {
  files_.make_log();
  log_reopened_ = sink_->reopen_and_keep();
  generations_.reopen_logs();
}

std::vector<std::string> Master::reopen_failures() const {
  std::vector<std::string> failures = generations_.reopen_failures();
  if (!log_reopened_) {
    failures.insert(failures.begin(), "the master");
  }
  return failures;
}

void Master::stop(bool at_once) {
  upgrades_.give_up("the server is stopping");
  workers_wanted_ = true;  // so that the end of the last worker ends the master
  stop_.begin(at_once, totals().lost);
}

std::optional<std::string> Master::stop_outcome() {
  if (!exit_code_) {
    return std::nullopt;
  }
  const std::string flaws = stop_.finish(totals().lost);
  return flaws.empty() ? "ok stopped" : "failed stopped, but " + flaws;
}

Counters Master::totals() const {
  Counters totals = generations_.totals();
  totals.log_lines_dropped += sink_->dropped();
  totals.add(tls_.totals());
  if (inherited_.ledger != nullptr) {
    totals.add(inherited_.ledger->read());
  }
  return totals;
}

Stats Master::stats(const std::map<pid_t, ProcessMemory>& memory) const {
  Stats stats = Stats::of_this_process();
  stats.totals = totals();
  generations_.tell(stats, memory);
  files_.tell(stats);
  tls_.tell(stats);
  return stats;
}

}  // namespace forktail::server
