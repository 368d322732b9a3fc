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
#include <string>
#include <vector>

#include "forktail/api.h"
#include "server/child/generation_share.h"
#include "server/dispatch/kept_numbers.h"
#include "server/generation/deadlines.h"
#include "server/generation/phase.h"
#include "server/generation/refork_giver.h"
#include "server/generation/scale.h"
#include "server/generation/shared_parts.h"
#include "server/generation/stats.h"
#include "server/generation/template_process.h"
#include "server/generation/worker_deaths.h"
#include "server/generation/worker_lines.h"
#include "server/generation/worker_starts.h"
#include "server/generation/workers.h"
#include "server/shared/channel.h"
#include "server/shared/options.h"

namespace forktail::server {

class Generation {
 public:
  using Clock = std::chrono::steady_clock;
  using Phase = GenerationPhase;

  // Makes what its processes share. Kept connections get these `numbers`. With `refork` a worker of
  // another generation is its template, else one is to be forked. Throws std::system_error.
  Generation(int number, Options options, std::vector<int> listeners, log::Sink& sink,
             KeptNumbers numbers, const Refork* refork = nullptr);

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const Options& options() const { return options_; }
  // A worker of it serves.
  [[nodiscard]] bool accepting() const { return workers_.any_ready(); }
  // No process of it is left.
  [[nodiscard]] bool gone() const { return template_.gone() && workers_.empty(); }
  [[nodiscard]] std::string status() const;  // a sentence for people
  [[nodiscard]] int wanted() const { return scale_.wanted(); }
  [[nodiscard]] int most() const { return scale_.most(); }  // that scale() can reach

  // The template is to be forked, which the master's loop does: true in the child, which is to
  // leave the loop for become_template().
  [[nodiscard]] bool template_due() const { return template_.due(); }
  bool fork_template();
  [[noreturn]] void become_template();

  // Events.
  void watch(std::vector<pollfd>& watched) const;
  void read_messages();
  bool reap(pid_t pid, int status);  // false when `pid` is none of its processes
  // Nobody's, so far: the template may be about to say that it was a worker.
  void keep_unclaimed(pid_t pid, int status) { starts_.keep_unclaimed(pid, status); }
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void act_on_deadlines();
  // Whether somebody is killed when he is late; and that time has passed which counts for nothing.
  [[nodiscard]] bool has_deadlines() const { return deadlines_.any(phase_); }
  void postpone(Clock::duration missed) { deadlines_.postpone(missed); }

  // What it tells of itself, with the workers' memory as somebody has measured it.
  [[nodiscard]] std::vector<WorkerStats> worker_stats(
      const std::map<pid_t, ProcessMemory>& memory) const;
  [[nodiscard]] std::vector<pid_t> worker_pids() const { return workers_.pids(); }
  [[nodiscard]] Counters totals() const { return workers_.totals(); }
  // Whether as many workers as are wanted are ready and no others are left; and whether each has
  // reopened its log.
  [[nodiscard]] bool settled() const { return workers_.settled(wanted()); }
  [[nodiscard]] bool logs_reopened() const { return workers_.logs_reopened(parts_.reopenings()); }
  // The workers that could not, the last time that they were told to.
  [[nodiscard]] std::vector<int> reopen_failures() const {
    return workers_.reopen_failures(parts_.reopenings());
  }
  // How many times a worker could not start since it serves, and how it was the last time.
  [[nodiscard]] const WorkerStarts& starts() const FORKTAIL_LIFETIMEBOUND { return starts_; }

  // Orders.
  void scale(int wanted);
  void reopen_logs();
  // A worker is to finish what it has and to become the next generation's template. Returns why
  // there is none that can; take_refork() has the outcome, once.
  std::string begin_refork() { return refork_.begin(); }
  std::optional<Refork> take_refork() { return refork_.take(); }
  // The workers leave; those that have not within reload-mercy are killed. With `stopping` they
  // first answer everybody who waits in the listen queue.
  void leave(bool stopping);
  void fail(const std::string& why);  // what its workers have begun they answer
  void take_over_from(Generation& gone) { parts_.take_over(gone.parts_); }  // what nobody has read
  // At once. What was being served is logged, by worker.
  void kill(const std::string& why);

 private:
  void start_missing_workers();
  void end_liar(int worker);
  void read_template_messages();
  void on_template_message(const Message& message);
  void on_spawned(int worker, pid_t pid);
  void on_template_gone(pid_t pid, const std::string& how);
  void on_worker_message(int worker, const Message& message);
  void on_ready(int worker);
  void on_start_failed(int worker, const std::string& why);
  void on_reforked(int worker);
  void on_worker_gone(int worker, const std::string& how);
  void adopt_template(const Refork& refork);
  [[nodiscard]] GenerationShare share();
  [[nodiscard]] bool starts_or_serves() const {
    return phase_ == Phase::starting || phase_ == Phase::serving;
  }

  const pid_t master_;
  const int number_;
  const Options options_;
  log::Sink& sink_;
  SharedParts parts_;
  Scale scale_;

  Phase phase_ = Phase::starting;
  std::string failure_;

  Template template_;
  Channel orders_;  // in the template itself: its end of the channel
  Workers workers_;
  WorkerStarts starts_;
  WorkerLines lines_;
  WorkerDeaths deaths_;
  Deadlines deadlines_;
  ReforkGiver refork_;
};

}  // namespace forktail::server
