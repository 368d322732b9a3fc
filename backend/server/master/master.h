// The master: owns the listening sockets, the log and the generations, obeys signals, reaps. One
// thread, one loop, and never a line of an application's code.
//
// Signals: TERM, QUIT stop gracefully (a second one, a second later, kills), INT stops at once, HUP
// reloads, USR1 reopens the logs, USR2 upgrades the binary, TTIN and TTOU start and end a worker,
// WINCH ends the workers and keeps the master.
#pragma once

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
#include "server/master/endpoint.h"
#include "server/master/ledger.h"
#include "server/master/log_maker.h"
#include "server/master/pidfile.h"
#include "server/master/systemd_notify.h"
#include "server/master/upgrade_new.h"
#include "server/master/upgrade_old.h"
#include "server/os/descriptor.h"
#include "server/os/memory_probe.h"
#include "server/os/program.h"
#include "server/os/touched_files.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"

namespace forktail::server {

class Master {
 public:
  // Reads the configuration anew for a reload; throws std::exception when it is not usable.
  using ReadOptions = std::function<Options()>;

  // What somebody on the control socket waits for.
  struct Command {
    enum class Kind { generation, reopen, scale, upgrade, stop };
    int client;
    Kind kind;
    int generation = 0;     // the one that is to serve, or to have so many workers
    int failed_starts = 0;  // that it has had before
  };

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

 private:
  // Empty but in a child.
  Life fork_children();
  Life fork_new_master();
  void sleep();
  void note_pause(Attention::Clock::duration missed);
  void obey_signals();
  void obey(int signal);
  void reap();
  void attend_generations();
  void start_generation(Options options);
  // Returns why it could not even begin; empty when it has.
  std::string reload();
  void reload_once_more();
  void reload_when_touched();
  void reopen_logs();
  [[nodiscard]] bool logs_reopened() const;
  void stop(bool at_once);
  void take_over(Generation& next);
  void tell_systemd_of_first_worker();
  void on_gone(const Generation& generation);
  // A generation serves, and SIGWINCH has not sent it away.
  [[nodiscard]] bool has_workers() const { return current_ != nullptr && workers_wanted_; }
  void scale(int wanted);
  [[nodiscard]] std::string serving_status() const;
  // A generation is starting, or about to.
  [[nodiscard]] bool changing() const;
  std::string refork();
  void attend_refork();
  // The same.
  std::string begin_upgrade();
  void attend_upgrade();
  void leave_to_new_master();
  void on_upgrade_failed(const std::string& how);
  void attend_old_master();
  void take_charge();
  void open_endpoints();
  std::optional<std::string> command(int client, const std::string& line);
  void resolve_commands();
  [[nodiscard]] std::optional<std::string> outcome(const Command& command);
  [[nodiscard]] std::optional<std::string> reopen_outcome() const;
  // The answer to a question, made of the stats as they are when memory has been measured.
  using StatsText = std::function<std::string(const Stats&)>;
  std::optional<std::string> answer_http(std::size_t endpoint, int client,
                                         const std::string& request);
  void answer_with_stats(std::size_t endpoint, int client, StatsText text);
  void attend_memory_probe();
  void answer_stats_askers();
  [[nodiscard]] Stats stats() const;
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
  Attention attention_;

  std::vector<std::unique_ptr<Generation>> generations_;  // in order of their numbers
  Generation* current_ = nullptr;                         // the newest that has ever served
  int last_number_ = 0;
  bool stopping_ = false;
  Generation::Clock::time_point first_stop_;
  bool told_ready_ = false;    // systemd knows that there are workers
  bool reload_again_ = false;  // asked for while a reload was under way
  bool workers_wanted_ = true;
  int refork_number_ = 0;  // of the generation that a reforked worker is to be the template of
  std::optional<int> exit_code_;

  std::optional<UpgradeOld> upgrade_;
  std::string upgrade_outcome_;  // of the last one
  bool replaced_ = false;        // the new master is in charge

  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  Endpoint* control_ = nullptr;
  std::vector<Command> commands_;
  struct StatsAsker {
    std::size_t endpoint;  // of endpoints_
    int client;
    StatsText text;
  };
  std::vector<StatsAsker> stats_askers_;
  std::optional<MemoryProbe> memory_probe_;
  Generation::Clock::time_point memory_probe_until_;
  std::map<pid_t, ProcessMemory> memory_;  // as it was measured the last time
  std::optional<ForkMode> asked_mode_;     // by `mode`, over the configuration's; it has served
  std::optional<ForkMode> next_mode_;  // for the next generation: that, or one that is to be tried
  bool log_reopened_ = true;           // the master's own, the last time that it was to be
  std::map<int, std::string> failures_;  // why generations could not start, while somebody asks
  Counters past_;                        // of the generations that have left
  std::unique_ptr<Ledger> ledger_;       // for a successor
  std::uint64_t lost_before_stop_ = 0;
};

}  // namespace forktail::server
