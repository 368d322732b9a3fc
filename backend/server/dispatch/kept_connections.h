// The master's part in kept connections: it makes what the workers share, holds a duplicate of each
// connection, and with it mends what a worker that died has left, ends what was idle for too long,
// and gives a new worker what the others have.
//
// Belongs to one generation, in the master's loop. Nothing waits.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "server/dispatch/ready_list.h"

namespace forktail::server {

class KeptConnections {
 public:
  using Clock = std::chrono::steady_clock;

  // Watches `listeners`. Kept connections have the descriptor numbers from `base` to `base +
  // capacity - 1` in all processes. Throws std::system_error.
  KeptConnections(std::vector<int> listeners, int base, int capacity, int seats);
  ~KeptConnections();
  KeptConnections(const KeptConnections&) = delete;
  KeptConnections& operator=(const KeptConnections&) = delete;

  DispatchShare& share() { return share_; }

  // Before a worker is forked for `seat`, and after it has died.
  void admit(int seat);
  void dismiss(int seat);

  // Before that: gives those of a dead worker's connections back to the ready list, until
  // `deadline`, that stand between two requests, as `resumable` says of one that this thread had
  // and on which something waits to be read, or nothing. Returns, by thread, whether there was one.
  std::vector<bool> resume(int seat, int threads, Clock::time_point deadline,
                           const std::function<bool(int thread, bool waiting)>& resumable);

  // New connections are from now on other generations' business.
  void stop_accepting();

  // Events.
  [[nodiscard]] int incoming() const { return share_.mailboxes.incoming(0); }
  void read_mail();
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void act_on_deadlines();

  // The seats whose workers are to read their mail; asking clears it.
  std::vector<int> take_due_for_mail();

 private:
  struct Owed {
    int seat;
    KeptId id;
  };

  void take_in(Mail& mail);
  void forward(KeptId id);
  void give(int seat, KeptId id);
  void end(KeptId id);
  void rearm();
  void expire();
  void close_stale();
  [[nodiscard]] bool held_by(int seat, std::uint32_t slot) const;
  [[nodiscard]] bool has(KeptId id) const {
    return id.version != 0 && installed_[id.slot] == id.version;
  }

  DispatchShare share_;
  std::vector<std::uint32_t> installed_;  // as in ReadyList
  std::deque<Owed> owed_;                 // what did not fit into a mailbox
  std::vector<bool> due_for_mail_;        // by seat
  std::optional<Clock::time_point> expire_at_;
  std::optional<Clock::time_point> sweep_at_;
};

}  // namespace forktail::server
