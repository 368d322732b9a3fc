// Dispatch: which idle worker thread gets which connection. A worker's view of it.
//
// One epoll instance a generation, made before its workers are forked and inherited by all.
// Listeners are in it edge-triggered and kept connections with EPOLLONESHOT, so one idle thread
// hears of each that is ready. No request ever waits behind a busy worker while another is idle,
// and the kernel's ready list is the one queue, in order of arrival.
//
// A new connection is accepted by the thread that hears of it. If its peer keeps connections, it is
// published after its first request: the master gets a duplicate, and so does each worker that has
// room for it in its mailbox; another one asks the master when it is its turn to serve it. So a
// busy worker never keeps anybody from publishing. Any worker serves it from then on, at the price
// of one epoll_ctl a request. Under load from such peers, the thread publishes all that wait in the
// listen queue at once, so that new connections take their turn with the kept ones; it accepts none
// that it could not publish. Without room to publish, a connection is served and closed.
//
// One object a process; any of its threads may call anything.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "log/sink.h"
#include "server/dispatch/busy_poll.h"
#include "server/dispatch/kept_table.h"
#include "server/dispatch/mailboxes.h"
#include "server/dispatch/tls_queue.h"
#include "server/os/descriptor.h"
#include "server/os/shared_flag.h"

namespace forktail::server {

// What the processes of one generation share for dispatch. Made by the master.
struct DispatchShare {
  Descriptor epoll;
  std::vector<int> listeners;  // owned by the master; a TlsQueue's end is one of them
  KeptTable kept;
  Mailboxes mailboxes;
};

// A connection that one thread serves. Ends in ReadyList::keep() or drop().
struct Claim {
  int descriptor = -1;
  std::optional<KeptId> kept = {};  // nothing: known to this process only
  bool watched = false;             // it is in the ready list, disarmed
  TlsPeer peer = {};

  explicit operator bool() const { return descriptor >= 0; }
};

class ReadyList {
 public:
  using Clock = std::chrono::steady_clock;

  // For the worker on `seat` (from 1), which has `threads` threads. `keepalive` is how long an idle
  // connection is kept, `silence` how long a new one may send nothing.
  ReadyList(DispatchShare& share, int seat, std::chrono::milliseconds keepalive,
            std::chrono::milliseconds silence, log::Sink& sink);

  // The next connection that is ready to be read; empty when there is an order (orders.h), or when
  // lost(). `thread` counts from 0; `poll`, and its note that it is `asleep`, are that thread's.
  Claim next(int thread, BusyPoll& poll, SharedFlag& asleep);
  // The application has closed the descriptors that this needs: nothing will ever be ready again.
  [[nodiscard]] bool lost() const { return lost_; }
  // The same, but empty when there is none within `patience`; orders are not looked at.
  Claim next_within(int thread, std::chrono::milliseconds patience);
  // A connection that was accepted and then could not be published; empty when there is none.
  Claim next_at_hand();
  // A connection that waits in a listen queue; empty when there is none. For a server that stops.
  Claim next_queued();

  // Publishes the connection, unless it is already. False when there is no room for it.
  bool publish(Claim& claim, int thread);
  // The same for one whose request is about to be answered with the offer to keep it.
  bool offer(Claim& claim, int thread);
  // Gives a published connection back to the list until its peer sends something. `fresh`: it has
  // not sent anything yet.
  void keep(Claim& claim, bool fresh);
  // The same for one that turned out to have nothing to read. False when there is no room for it.
  bool put_back(Claim& claim, int thread);
  // Closes the connection, in all processes.
  void drop(Claim& claim);

  // Takes in what the other processes have published, and closes what they have closed. Happens by
  // itself now and then: a duplicate of a closed connection holds back nothing but memory.
  void read_mail();

  // For a generation that leaves. Asks the peers of the idle connections that this process has to
  // close them: with an empty line, which a peer that waits for a status line skips when its next
  // request has crossed it on the way. The master does so with all that were idle at first.
  void give_back_idle(int thread);
  [[nodiscard]] bool any_idle() const;
  void drop_idle(int thread);

  void note_peer(bool keeps) { share_.kept.set_peers_keep(keeps); }

  // The owner in the KeptTable that a worker's thread is, and which one an owner is.
  static std::uint32_t owner(int seat, int thread);
  static int seat_of(std::uint32_t owner);
  static int thread_of(std::uint32_t owner);

 private:
  Claim take(std::uint64_t event, int thread);
  Claim accept_next(std::size_t listener, int thread);
  Claim claim_kept(KeptId id, int thread);
  [[nodiscard]] bool has(KeptId id) const { return installed_[id.slot] == id.version; }
  bool fetch(KeptId id);
  void take_mail();
  void publish_all_queued(std::size_t listener, int thread);
  bool publish_at(KeptId id, Claim& claim);
  void pass_on(const Mail& mail, int descriptor) const;
  void let_go(KeptId id);
  [[nodiscard]] Claim accept_from(std::size_t listener) const;
  void install(Mail& mail);

  DispatchShare& share_;
  const int seat_;
  const std::chrono::milliseconds keepalive_;
  const std::chrono::milliseconds silence_;
  log::Sink& sink_;
  const std::vector<bool> tls_queues_;  // by listener: it is the reading end of a TlsQueue

  std::mutex mutex_;            // for what follows, and the numbers from share_.kept.base() on
  std::vector<Claim> at_hand_;  // accepted, and then not published
  // The version whose descriptor this process has at each slot's number; 0: none.
  std::vector<std::atomic<std::uint32_t>> installed_;
  std::atomic<std::uint32_t> swept_ = 0;  // KeptTable::closed() when this process last looked
  std::atomic<bool> lost_ = false;
};

// What epoll reports for a listener, and for a kept connection.
std::uint64_t event_of_listener(std::size_t index);
std::uint64_t event_of_kept(KeptId id);

// Watches a connection for input, once, or a listener for each arrival. False with errno.
bool watch(int epoll, int operation, int descriptor, std::uint64_t event);

// The ask to close a connection: see ReadyList::give_back_idle(). Without waiting.
void ask_to_close(int descriptor);

}  // namespace forktail::server
