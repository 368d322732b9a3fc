// The master: owns the listening sockets, the log and the generations, obeys signals, reaps. One
// thread, one loop, and never a line of an application's code.
//
// Signals: TERM, QUIT stop gracefully (a second one, a second later, kills), INT stops at once, HUP
// reloads, USR1 reopens the logs, USR2 upgrades the binary, TTIN and TTOU start and end a worker,
// WINCH, unless a terminal may have sent it, ends the workers and keeps the master.
#pragma once

#include <array>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "log/sink.h"
#include "server/generation/generation.h"
#include "server/generation/stats.h"
#include "server/master/attention.h"
#include "server/master/change.h"
#include "server/master/control.h"
#include "server/master/ledger.h"
#include "server/master/log_maker.h"
#include "server/master/pidfile.h"
#include "server/master/shut_listeners.h"
#include "server/master/systemd_notify.h"
#include "server/master/tls_front.h"
#include "server/master/upgrade_new.h"
#include "server/master/upgrade_old.h"
#include "server/os/descriptor.h"
#include "server/os/process_memory.h"
#include "server/os/program.h"
#include "server/os/touched_files.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"

namespace forktail::server {

class Master {
 public:
  // Reads the configuration anew for a reload; throws std::exception when it is not usable.
  using ReadOptions = std::function<Options()>;

  // What it has besides its options. The references must outlive it.
  struct Means {
    std::shared_ptr<log::Sink> sink;
    std::vector<Listener> listeners;
    ReadOptions read_options;
    SystemdNotify systemd;
    const Program& program;
    Inherited& inherited;
    Pidfile& pidfile;
    LogMaker log_maker;
  };

  Master(Options options, Means means);

  // What a process that was just forked is to do, for the rest of its life.
  using Life = std::function<void()>;

  // Runs the server until it is told to stop. Returns the program's exit code: 0 after a stop, 1
  // when the application could never be started.
  //
  // It also returns in each child that it forks: with its life, which begins when all of this
  // object's frames are left, so that nothing that the child does can end up in them. In a child
  // this object must not be destroyed: sockets and pidfile are the master's.
  std::variant<int, Life> run();

  // Orders, each from a signal or from the control socket. A text that is returned says why it
  // could not even begin; it is empty when it has.
  std::string reload();
  std::string refork();
  std::string begin_upgrade();
  void scale(int wanted);
  void reopen_logs();
  void stop(bool at_once);
  [[nodiscard]] Change& change() { return change_; }

  // What has come of them; nothing while it is under way.
  [[nodiscard]] std::optional<std::string> reopen_outcome() const;
  [[nodiscard]] std::optional<std::string> upgrade_outcome() const {
    return upgrade_ ? std::nullopt : std::optional(upgrade_outcome_);
  }
  [[nodiscard]] std::optional<std::string> stop_outcome();
  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] bool stopped() const { return exit_code_.has_value(); }

  [[nodiscard]] const Generation* current() const { return current_; }  // null: none serves
  // The same, unless SIGWINCH has sent its workers away.
  [[nodiscard]] const Generation* with_workers() const {
    return workers_wanted_ ? current_ : nullptr;
  }
  [[nodiscard]] std::vector<pid_t> worker_pids() const;
  [[nodiscard]] Stats stats(const std::map<pid_t, ProcessMemory>& memory) const;

 private:
  // Empty but in a child.
  Life fork_children();
  Life fork_new_master();
  // What the loop does, each time in this order.
  using Step = void (Master::*)();
  static const std::array<Step, 12> kSteps;
  void mend_listeners();
  void attend_control();
  void keep_up();
  // A step has failed.
  void go_on(const std::exception& error) noexcept;
  void sleep();
  void note_pause(Attention::Clock::duration missed);
  void obey_signals();
  void obey(int signal);
  void reap();
  void attend_generations();
  void start_generation(Options options);
  void reload_once_more();
  void reload_when_touched();
  [[nodiscard]] bool logs_reopened() const;
  void take_over(Generation& next);
  void tell_systemd_of_first_worker();
  void on_gone(const Generation& generation);
  [[nodiscard]] std::string serving_status() const;
  // A generation is starting, or about to.
  [[nodiscard]] bool changing() const;
  void attend_refork();
  void attend_tls();
  [[nodiscard]] bool queues_end() const;
  void attend_upgrade();
  void leave_to_new_master();
  void on_upgrade_failed(const std::string& how);
  void attend_old_master();
  void take_charge();
  [[nodiscard]] Counters totals() const;
  // After the last process: removes the server's files. What did not end as it should have.
  [[nodiscard]] std::string flaws_of_stop();

  Options options_;
  const Options at_start_;
  std::shared_ptr<log::Sink> sink_;
  std::vector<Listener> listeners_;
  ReadOptions read_options_;
  SystemdNotify systemd_;
  const Program& program_;
  Inherited& inherited_;
  Pidfile& pidfile_;
  LogMaker log_maker_;
  Descriptor signals_;
  TouchedFiles touched_;
  const KeptNumbers kept_numbers_;
  TlsFront tls_;
  ShutListeners shut_listeners_{listeners_, at_start_, *sink_};
  Attention attention_;
  Generation::Clock::time_point silent_until_;  // about steps that fail

  std::vector<std::unique_ptr<Generation>> generations_;  // in order of their numbers
  Generation* current_ = nullptr;                         // the newest that has ever served
  Change change_;
  bool stopping_ = false;
  Generation::Clock::time_point first_stop_;
  // When the generations leave, at the latest: what is on its way over TLS comes first.
  std::optional<Generation::Clock::time_point> leave_at_;
  bool told_ready_ = false;  // systemd knows that there are workers
  bool workers_wanted_ = true;
  std::optional<int> exit_code_;

  std::optional<UpgradeOld> upgrade_;
  std::string upgrade_outcome_;  // of the last one
  bool replaced_ = false;        // the new master is in charge

  Control control_;
  bool log_reopened_ = true;        // the master's own, the last time that it was to be
  Counters past_;                   // of the generations that have left
  std::unique_ptr<Ledger> ledger_;  // for a successor
  std::uint64_t lost_before_stop_ = 0;
};

}  // namespace forktail::server
