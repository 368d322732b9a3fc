// The master's part in kept connections: it makes what the workers share, holds a duplicate of each
// connection, and with it mends what a worker that died has left, ends what was idle for too long,
// and gives a worker what it lacks.
//
// Belongs to one generation, in the master's loop. Nothing waits. What workers can write, mail and
// the table, is checked before it is used: a worker that lies harms its own generation's
// connections at most.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "log/sink.h"
#include "server/dispatch/ready_list.h"

namespace forktail::server {

class KeptConnections {
 public:
  using Clock = std::chrono::steady_clock;

  // Watches `listeners`. Kept connections have `numbers` in all processes but this one. Throws
  // std::system_error.
  KeptConnections(std::vector<int> listeners, KeptNumbers numbers, int seats, log::Sink& sink);
  ~KeptConnections() = default;
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
  // For a generation that leaves: see ReadyList::give_back_idle().
  void give_back_idle();

  // Of another generation, which has no worker any more: the connections on which something waits
  // that nobody has read. One that there is no room for is closed.
  void take_over(KeptConnections& other, Clock::time_point deadline);

  // Events. `incoming` is -1 when nothing will ever come any more.
  [[nodiscard]] int incoming() const { return deaf_ ? -1 : share_.mailboxes.incoming(0); }
  void read_mail();
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void act_on_deadlines();

  // How many connections the master has a duplicate of.
  [[nodiscard]] int held() const;

  // The processes that have sent what no process of the server sends; asking clears it.
  std::vector<pid_t> take_liars() { return std::exchange(liars_, {}); }

 private:
  // The master's duplicate of a connection.
  struct Held {
    Descriptor descriptor;
    std::uint32_t version = 0;  // 0: none
    bool watched = false;       // in the ready list under this process's own number, too
  };

  // False when it is a lie.
  bool take_in(Mail& mail);
  bool hold(Mail& mail);
  void put_in(KeptId id, Descriptor descriptor);
  void let_go(std::uint32_t slot);
  void give(int seat, KeptId id) const;
  void end(KeptId id);
  void rearm();
  void watch_again(std::uint32_t slot);
  void expire();
  void close_stale();
  [[nodiscard]] bool held_by(int seat, std::uint32_t slot) const;
  [[nodiscard]] bool held_by_nobody(std::uint32_t slot) const;
  [[nodiscard]] std::vector<KeptId> idle_and_unknown() const;
  void restore_occupied();
  [[nodiscard]] bool has(KeptId id) const {
    return id.version != 0 && held_[id.slot].version == id.version;
  }

  log::Sink& sink_;
  DispatchShare share_;
  std::vector<Held> held_;      // by slot
  std::vector<bool> occupied_;  // by seat; the table's flags are for the workers
  std::vector<pid_t> liars_;
  bool deaf_ = false;  // its mailbox has been shut down
  bool told_of_no_room_ = false;
  std::optional<Clock::time_point> expire_at_;
  std::optional<Clock::time_point> sweep_at_;
};

}  // namespace forktail::server
