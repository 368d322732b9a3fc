// The workers of a generation, as its master knows them: who is there and in which state, when one
// that is missing is to be started, what each place has done so far.
//
// Belongs to the generation, in the master's loop. Nothing waits. What is decided by is private
// memory of the master's: no worker can write it. Workers are named by their number, from 1.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "server/dispatch/orders.h"
#include "server/generation/backoff.h"
#include "server/generation/stats.h"
#include "server/shared/channel.h"
#include "server/shared/slots.h"

namespace forktail::server {

class Workers {
 public:
  using Clock = std::chrono::steady_clock;
  struct Process {
    pid_t pid = 0;  // 0: it was ordered, and the template has not said yet that it is there
    Channel channel;
    Clock::time_point started;
    std::chrono::system_clock::time_point since = std::chrono::system_clock::now();
    bool ready = false;
    bool leaving = false;
    bool failed = false;                            // it has said why it can not start
    bool ended = false;                             // by the server itself, which has said so
    std::uint64_t requests_before = 0;              // its place's, when it took it
    std::optional<Clock::time_point> kill_at = {};  // when its mercy is over
    bool doomed = false;                            // to be killed as soon as it is there
  };
  using Map = std::map<int, Process>;

  explicit Workers(const Slots& slots) : slots_(slots) {}

  // Those that are there, or about to be.
  [[nodiscard]] const Map& all() const { return processes_; }
  [[nodiscard]] Map& all() { return processes_; }
  [[nodiscard]] bool empty() const { return processes_.empty(); }
  [[nodiscard]] bool has(int worker) const { return processes_.contains(worker); }
  [[nodiscard]] Process* find(int worker);
  [[nodiscard]] pid_t pid_of(int worker) const;
  [[nodiscard]] std::optional<int> number_of(pid_t pid) const;
  [[nodiscard]] std::vector<int> numbers() const;
  [[nodiscard]] std::vector<pid_t> pids() const;
  [[nodiscard]] bool any_ready() const;
  [[nodiscard]] int count_ready() const;
  // As many as `wanted` are ready, none leaves, and there are no others.
  [[nodiscard]] bool settled(int wanted) const;

  // Starting. The first that is missing and whose time has come; nothing when there is none.
  [[nodiscard]] std::vector<int> missing(int wanted, Clock::time_point now) const;
  void start_later(int worker, std::chrono::milliseconds wait);
  void start_none_above(int wanted);
  void start_none() { absent_.clear(); }
  [[nodiscard]] std::optional<Clock::time_point> next_start() const;
  [[nodiscard]] Backoff& backoff(int worker) { return backoff_[worker]; }

  // One was ordered. Its end of the channel is `channel`.
  void add(int worker, Channel channel);
  // The template says that it is there. Who is no child of this process is not taken.
  static bool is_child(pid_t pid);
  bool note_spawned(int worker, pid_t pid);
  void remove(int worker) { processes_.erase(worker); }
  // Those that the template was told to fork and did not.
  std::vector<int> remove_unforked();

  // What they say, up to now, in their order. One whose process is not known yet is not asked.
  std::vector<std::pair<int, Message>> read_messages();
  void watch(std::vector<pollfd>& watched) const;

  // One that is not there yet finds the order when it is.
  void tell(int worker, orders::Order order);
  void tell_all(orders::Order order);
  // And dies as soon as it is.
  void kill(int worker);
  // A thread sleeps that has an order.
  [[nodiscard]] bool any_sleeps_through_orders() const;
  // It is to leave, and has `mercy` to do it.
  void send_away(int worker, std::chrono::milliseconds mercy);
  void send_all_away(std::chrono::milliseconds mercy);
  void send_away_above(int wanted, std::chrono::milliseconds mercy);
  // The generation could not start. Those that are ready have accepted connections like any other,
  // and answer what they have begun.
  void give_up_start(std::chrono::milliseconds mercy);
  [[nodiscard]] std::vector<int> out_of_mercy(Clock::time_point now) const;

  // What the slots do not count, and what they and that add up to.
  [[nodiscard]] Counters& history(int worker) { return history_[worker]; }
  [[nodiscard]] Counters counters_of(int worker) const;
  [[nodiscard]] std::uint64_t served(int worker) const;
  [[nodiscard]] Counters totals() const;
  // Of the first `count` places, with the memory of their processes as somebody has measured it.
  using Memory = std::map<pid_t, ProcessMemory>;
  [[nodiscard]] std::vector<WorkerStats> stats(int count, int generation,
                                               const Memory& memory) const;
  [[nodiscard]] bool logs_reopened(std::uint32_t round) const;
  // The workers that could not, the last time that they were told to.
  [[nodiscard]] std::vector<int> reopen_failures(std::uint32_t round) const;

 private:
  [[nodiscard]] WorkerStats stats_of(int worker, const Memory& memory) const;

  const Slots& slots_;
  Map processes_;
  std::map<int, Clock::time_point> absent_;  // workers to be started again, and when
  std::map<int, Backoff> backoff_;
  std::set<int> first_starts_;       // the workers that have been started at all
  std::map<int, Counters> history_;  // what the slots do not count
};

}  // namespace forktail::server
