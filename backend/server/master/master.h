// The master: has the listening sockets, the log and the generations, obeys orders, reaps. One
// thread, one loop, and never a line of an application's code.
//
// It joins its parts: each says what has happened, and here it is decided what that means for the
// others.
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
#include "server/generation/generations.h"
#include "server/generation/stats.h"
#include "server/generation/tls_front.h"
#include "server/master/attention.h"
#include "server/master/control.h"
#include "server/master/log_maker.h"
#include "server/master/pidfile.h"
#include "server/master/reloads.h"
#include "server/master/server_files.h"
#include "server/master/signal_orders.h"
#include "server/master/stop.h"
#include "server/master/systemd_notify.h"
#include "server/master/upgrade_new.h"
#include "server/master/upgrades.h"
#include "server/os/process_memory.h"
#include "server/os/program.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"

namespace forktail::server {

class Master {
 public:
  using ReadOptions = Reloads::ReadOptions;

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
  void send_workers_away();
  void reopen_logs();
  void stop(bool at_once);
  [[nodiscard]] Change& change() { return reloads_.change(); }

  // What has come of them; nothing while it is under way. Of the logs: whether each process has
  // opened its own again, and those that could not.
  [[nodiscard]] bool logs_reopened() const { return generations_.logs_reopened(); }
  [[nodiscard]] std::vector<std::string> reopen_failures() const;
  [[nodiscard]] std::optional<std::string> upgrade_outcome() const { return upgrades_.outcome(); }
  [[nodiscard]] std::optional<std::string> stop_outcome();
  [[nodiscard]] pid_t new_master() const { return upgrades_.new_master(); }
  [[nodiscard]] bool stopping() const { return stop_.begun(); }
  [[nodiscard]] bool stop_just_begun() const { return stop_.just_begun(); }
  [[nodiscard]] bool stopped() const { return exit_code_.has_value(); }

  // The generation that serves; null: none does.
  [[nodiscard]] const Generation* current() const { return generations_.current(); }
  // The same, unless its workers were sent away.
  [[nodiscard]] const Generation* with_workers() const {
    return workers_wanted_ ? current() : nullptr;
  }
  [[nodiscard]] std::vector<pid_t> worker_pids() const { return generations_.worker_pids(); }
  [[nodiscard]] Stats stats(const std::map<pid_t, ProcessMemory>& memory) const;

 private:
  // What the loop does, each time in this order.
  using Step = void (Master::*)();
  static const std::array<Step, 12> kSteps;
  void sleep();
  void obey_signals() { signals_.attend(); }
  void reload_when_touched();
  void mend_listeners();
  void reap();
  void attend_generations();
  void attend_tls() { stop_.attend(); }
  void attend_refork() { reloads_.attend_refork(stopping()); }
  void attend_upgrade();
  void attend_old_master();
  void attend_control();
  void keep_up();
  void go_on(const std::exception& error) noexcept;  // a step has failed

  Life fork_children();
  void note_pause(Attention::Clock::duration missed);
  void on_serving();
  void on_start_failed(const std::string& why);
  // Nobody else is in charge, and this master is to stay.
  [[nodiscard]] bool sole() const {
    return !stopping() && !upgrades_.replaced() && !inherited_.pending();
  }
  [[nodiscard]] Counters totals() const;

  const Options at_start_;
  std::shared_ptr<log::Sink> sink_;
  SystemdNotify systemd_;
  Inherited& inherited_;
  SignalOrders signals_;
  Control control_;
  ServerFiles files_;
  Generations generations_;
  TlsFront tls_;
  Reloads reloads_;
  Upgrades upgrades_;
  Stop stop_;
  Attention attention_;
  Attention::Clock::time_point silent_until_;  // about steps that fail
  bool told_ready_ = false;                    // systemd knows that there are workers
  bool workers_wanted_ = true;
  bool log_reopened_ = true;  // the master's own, the last time that it was to be
  std::optional<int> exit_code_;
};

}  // namespace forktail::server
