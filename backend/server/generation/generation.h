// One generation of the server: a template process and the workers that it forks, with the options
// they were started with. A reload makes a new one beside the old.
//
// Belongs to the master and is used by its loop only. Nothing here waits: the master calls in when
// a message, a death or a deadline is there.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/child/generation_share.h"
#include "server/dispatch/kept_connections.h"
#include "server/generation/backoff.h"
#include "server/generation/cheaper.h"
#include "server/generation/harakiri.h"
#include "server/generation/pace.h"
#include "server/generation/stats.h"
#include "server/shared/channel.h"
#include "server/shared/listeners.h"
#include "server/shared/log_groups.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

// How many workers a generation can have: room to scale to twice as many as it begins with. Each
// seat costs every process two descriptors.
int seats_for(const Options& options);

// A worker that becomes a template.
struct Refork {
  pid_t pid = 0;
  Channel orders;       // on which it waits for what it is to share
  std::string failure;  // why there is none
};

class Generation {
 public:
  using Clock = std::chrono::steady_clock;

  // What the master sees of it.
  enum class Phase {
    starting,  // the template loads, or not all workers are ready yet
    serving,   // every worker has been ready once
    leaving,   // the workers finish what they have and end
    failed,    // it could not start; failure() says why, and its processes are being ended
  };

  // Makes what its processes share, and forks the template. Throws std::system_error.
  // Kept connections get these `numbers`.
  Generation(int number, Options options, const std::vector<Listener>& listeners, log::Sink& sink,
             KeptNumbers numbers);
  // The same, with a worker of another generation for a template.
  Generation(int number, Options options, const std::vector<Listener>& listeners, log::Sink& sink,
             KeptNumbers numbers, const Refork& refork);

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const Options& options() const { return options_; }
  // A worker of it serves.
  [[nodiscard]] bool accepting() const;
  // No process of it is left.
  [[nodiscard]] bool gone() const { return template_pid_ == 0 && workers_.empty(); }
  [[nodiscard]] int wanted() const { return wanted_; }
  [[nodiscard]] int most() const { return slots_.seats(); }  // that scale() can reach

  // Events.
  void watch(std::vector<pollfd>& watched) const;
  void read_messages();
  bool reap(pid_t pid, int status);  // false when `pid` is none of its processes
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void act_on_deadlines();

  // What it tells of itself. The workers' memory, which costs, only with `with_memory`.
  [[nodiscard]] std::vector<WorkerStats> worker_stats(bool with_memory) const;
  [[nodiscard]] Counters totals() const;
  // Whether as many workers as are wanted are ready and no others are left; and whether each has
  // reopened its log.
  [[nodiscard]] bool settled() const;
  [[nodiscard]] bool logs_reopened() const;
  // The workers that could not, the last time that they were told to.
  [[nodiscard]] std::vector<int> reopen_failures() const;
  // How many times a worker could not start since the generation serves, and how it was the last
  // time.
  [[nodiscard]] int failed_starts() const { return failed_starts_; }
  [[nodiscard]] const std::string& last_failed_start() const { return last_failed_start_; }

  // Orders.
  void scale(int wanted);
  void reopen_logs();
  // A worker is to finish what it has and to become the next generation's template. Returns why
  // there is none that can; take_refork() has the outcome, once.
  std::string begin_refork();
  std::optional<Refork> take_refork();
  // The workers leave; those that have not within reload-mercy are killed. With `stopping` they
  // first answer everybody who waits in the listen queue.
  void leave(bool stopping);
  // At once. What was being served is logged, by worker.
  void kill(const std::string& why);

 private:
  struct Child {
    Channel channel;
    Clock::time_point started;
    std::chrono::system_clock::time_point since = std::chrono::system_clock::now();
    bool ready = false;
    bool leaving = false;
    std::uint64_t requests_before = 0;              // its seat's, when it took it
    bool failed = false;                            // it has said why it can not start
    std::optional<Clock::time_point> kill_at = {};  // when its mercy is over
  };
  void start_template();
  void adopt_template(const Refork& refork);
  void on_reforked(int worker);
  void on_refork_failed(const std::string& why);
  void start_missing_workers();
  void start_worker(int worker);
  void end_liars();
  void read_template_messages();
  void on_worker_message(int worker, const Message& message);
  void on_worker_gone(int worker, const std::string& how);
  void fail(const std::string& why);
  void note_failed_start(const std::string& why);
  void send_away(int worker, Child& child, std::chrono::milliseconds mercy);
  void retire_the_old();
  void look_at_requests();
  void scale_to_load();
  [[nodiscard]] GenerationShare share();
  [[nodiscard]] std::optional<Clock::time_point> next_start_deadline() const;
  void give_up_slow_starts();
  [[nodiscard]] bool waits_for_template() const;
  [[nodiscard]] Counters counters_of(int worker) const;
  void warn_overdue(const Overdue& overdue);
  // A line about a worker. `pattern` has a place for who it is and one for the `reason`.
  void tell_of(log::EventKind kind, int worker, std::string_view pattern,
               const std::string& reason = "") const;
  void kill_processes() const;
  void kill_template() const;
  void forget_unforked_workers();
  void log_in_flight(int worker, pid_t pid, const std::string& what,
                     const std::vector<bool>& resumed);
  void check_serving();
  [[nodiscard]] std::optional<int> worker_of(pid_t pid) const;
  void signal_worker(int worker, int signal) const;

  const int number_;
  const Options options_;
  log::Sink& sink_;
  Slots slots_;
  std::optional<LogGroups> log_groups_;
  KeptConnections kept_connections_;
  Harakiri harakiri_;
  Cheaper cheaper_;
  Pace group_pace_;  // of looking for gathered lines that have waited

  int reforking_ = 0;  // the worker that is to become a template
  std::optional<Refork> refork_;

  Phase phase_ = Phase::starting;
  std::string failure_;
  int failed_starts_ = 0;
  std::string last_failed_start_;
  int wanted_;

  pid_t template_pid_ = 0;
  Channel template_;
  bool template_loaded_ = false;
  Clock::time_point template_started_;
  Backoff template_backoff_;
  std::optional<Clock::time_point> restart_template_at_;

  std::map<int, Child> workers_;
  std::map<int, Clock::time_point> absent_;  // workers to be started again, and when
  std::map<int, Backoff> backoff_;
  std::set<int> first_starts_;       // the workers that have been started at all
  std::map<int, Counters> history_;  // what the slots do not count, by worker
};

}  // namespace forktail::server
