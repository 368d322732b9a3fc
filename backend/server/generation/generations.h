// All generations of the server: the one that serves, the one that is to, those that leave.
//
// Belongs to the master's loop. Nothing waits. What a generation that serves or has failed means
// for the server is decided by the master.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/sink.h"
#include "server/dispatch/kept_numbers.h"
#include "server/generation/generation.h"
#include "server/generation/refork_giver.h"
#include "server/generation/stats.h"
#include "server/shared/options.h"

namespace forktail::server {

class Generations {
 public:
  using Clock = Generation::Clock;

  // `numbers` are for kept connections. The sink must outlive it.
  Generations(KeptNumbers numbers, log::Sink& sink) : numbers_(numbers), sink_(sink) {}

  // The newest that has ever served; null: none serves.
  [[nodiscard]] Generation* current() { return current_; }
  [[nodiscard]] const Generation* current() const { return current_; }
  [[nodiscard]] bool empty() const { return all_.empty(); }
  // Of the newest: it is to serve, and does not yet; a worker of it does.
  [[nodiscard]] bool starting() const;
  [[nodiscard]] bool accepting() const { return !all_.empty() && all_.back()->accepting(); }

  // Starts one; a worker of another is its template, or it loads anew. Throws std::system_error.
  void start(int number, Options options, std::vector<int> listeners,
             const Refork* refork = nullptr);
  // The outcome of a Generation::begin_refork(), once.
  std::optional<Refork> take_refork();

  // Forks the templates that are due. Empty but in a child: its life.
  std::function<void()> fork_due();

  // Events.
  void watch(std::vector<pollfd>& watched) const;
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void reap(pid_t pid, int status);
  // Reads and acts.
  void attend();
  // The one that is to be current(), and can; null: there is none.
  [[nodiscard]] Generation* next();
  void let_next_serve();
  // Those without a process are forgotten. These of them had failed:
  struct Failed {
    int number;
    std::string why;
    int serving;  // the number of the one that goes on; 0: none
  };
  std::vector<Failed> forget_gone();
  // Whether somebody is killed when he is late; and that time has passed which counts for nothing.
  [[nodiscard]] bool has_deadlines() const;
  void postpone(Clock::duration missed);

  // Orders, as in Generation.
  void leave(bool stopping);
  void leave_to_current();
  void kill(const std::string& why);
  void reopen_logs();
  [[nodiscard]] bool logs_reopened() const;
  // Who could not, as a list of words.
  [[nodiscard]] std::vector<std::string> reopen_failures() const;

  // What they tell of themselves.
  [[nodiscard]] std::vector<pid_t> worker_pids() const;
  [[nodiscard]] Counters totals() const;  // and of those that have left
  void tell(Stats& stats, const std::map<pid_t, ProcessMemory>& memory) const;

 private:
  const KeptNumbers numbers_;
  log::Sink& sink_;
  std::vector<std::unique_ptr<Generation>> all_;  // in order of their numbers
  Generation* current_ = nullptr;
  Counters past_;  // of those that have left
};

}  // namespace forktail::server
