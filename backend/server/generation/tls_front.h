// The TLS processes, which stand in front of all generations: as many as `tls-processes` says, with
// the files and options of the generation that serves. When another one is to, new processes start,
// and only when all of them accept do the old ones leave, with their last connection. One that dies
// is started again; what it had is lost, and nothing else.
//
// Belongs to the master's loop. Nothing waits. Processes are forked by the loop alone, see
// Master::run().
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "log/sink.h"
#include "server/dispatch/tls_queue.h"
#include "server/generation/backoff.h"
#include "server/generation/stats.h"
#include "server/shared/channel.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"
#include "server/shared/tls_figures.h"

namespace forktail::server {

class TlsFront {
 public:
  using Clock = std::chrono::steady_clock;

  // `queue` is a predecessor's, or empty.
  TlsFront(TlsQueue queue, log::Sink& sink);
  // Kills what is left.
  ~TlsFront();
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  // What the workers of a generation with these options accept from.
  [[nodiscard]] std::vector<int> for_workers(const std::vector<Listener>& listeners,
                                             const Options& options) const;
  [[nodiscard]] const TlsQueue& queue() const { return queue_; }

  // From now on TLS is spoken as a generation's options say, or not at all.
  void stand_before(int generation, const Options& options, const std::vector<Listener>& listeners);
  // The same for a generation that is to take over. To be asked again while it is `starting`: until
  // it `stands`, TLS is spoken as before, and so it is when it has `failed`, as failure() says.
  enum class Change { starting, stands, failed };
  Change change_to(int generation, const Options& options, const std::vector<Listener>& listeners);
  [[nodiscard]] const std::string& failure() const { return failure_; }
  // That generation will not take over.
  void stay();
  // Nothing more is accepted. With `ending` all that waits at the sockets is first.
  void leave(bool ending);
  void kill();
  // After leave(): nothing is on its way to a worker.
  [[nodiscard]] bool all_handed_over() const;
  [[nodiscard]] bool gone() const { return processes_.empty(); }

  // Of the processes that are there, and of all that ever were.
  void tell(Stats& stats) const;
  [[nodiscard]] Counters totals() const;

  // A process is to be forked: true in the child, which is to leave the loop for become_process().
  bool fork_due();
  [[noreturn]] void become_process();

  // Events.
  void watch(std::vector<pollfd>& watched) const;
  void read_messages();
  bool reap(pid_t pid, int status);  // false when `pid` is none of its processes
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void act_on_deadlines();
  // Time has passed that counts for no deadline.
  void postpone(Clock::duration missed);

 private:
  // What the processes that were started together have in common.
  struct Stand {
    Options options;
    std::vector<int> listeners;
    int generation;
  };
  struct Process {
    std::shared_ptr<const Stand> stand;
    int number;     // from 1
    pid_t pid = 0;  // 0: none at the moment
    Channel channel = {};
    std::unique_ptr<TlsBoard> board = {};
    bool ready = false;
    bool handed_over = false;
    Clock::time_point started = {};
    std::optional<Clock::time_point> start_at = Clock::now();
    std::optional<Clock::time_point> kill_at = {};  // it is leaving
    std::string failure = {};
    bool killed = false;  // by this process
    Backoff backoff = {};
  };

  [[nodiscard]] std::shared_ptr<const Stand> make_stand(
      int generation, const Options& options, const std::vector<Listener>& listeners) const;
  void start(const std::shared_ptr<const Stand>& stand);
  void take_up(std::shared_ptr<const Stand> stand);
  void send_away(Process& process, bool ending);
  void on_gone(Process& process, const std::string& how);
  void tell_of(log::EventKind kind, const Process& process, std::string_view pattern,
               const std::string& how = "", std::chrono::milliseconds retry = {}) const;

  const pid_t master_;
  log::Sink& sink_;
  TlsQueue queue_;
  std::shared_ptr<const Stand> stand_;  // null: no TLS is spoken
  std::shared_ptr<const Stand> next_;   // that starts
  std::string failure_;                 // why the last one did not
  std::vector<Process> processes_;
  Counters past_;                    // of those that are gone
  std::optional<std::size_t> born_;  // in a child: which of them it is
  Channel theirs_;                   // and its end of the channel
};

}  // namespace forktail::server
