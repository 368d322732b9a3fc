#include "server/child/worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "server/child/app_library.h"
#include "server/child/crash.h"
#include "server/child/refork.h"
#include "server/child/retirement.h"
#include "server/child/worker_harakiri.h"
#include "server/dispatch/orders.h"
#include "server/os/scheduling.h"
#include "server/os/stack_trace.h"
#include "server/os/title.h"
#include "server/request/request_loop.h"
#include "server/shared/output.h"
#include "server/shared/own_process.h"

namespace forktail::server {

namespace {

// libc's generators continue the template's sequence in every worker; an own seed for each is the
// cure.
void reseed_libc() {
  unsigned seeds[3] = {};
  if (getrandom(seeds, sizeof(seeds), 0) == sizeof(seeds)) {
    srand(seeds[0]);
    srandom(seeds[1]);
    srand48(seeds[2]);  // NOLINT(concurrency-mt-unsafe): the one thread there is
  }
}

class WorkerProcess {
 public:
  WorkerProcess(const GenerationShare& share, int worker, const Channel& master, App& app)
      : share_(share),
        master_(master),
        app_(app),
        worker_{worker, share.generation, share.options.threads, share.options.fork_mode},
        seat_(share.slots.seat(worker)),
        ready_(share.dispatch, worker, share.options.keepalive_timeout,
               share.options.socket_timeout, share.sink),
        retirement_(share.options, static_cast<unsigned>(random())) {}

  [[nodiscard]] const Worker& worker() const { return worker_; }

  // Serves in all threads until the worker is to leave.
  void serve() {
    std::vector<std::thread> others;
    for (int i = 1; i < worker_.threads; ++i) {
      others.emplace_back([this, i] {
        const SignalStack signal_stack;
        serve_thread(i);
      });
    }
    serve_thread(0);
    for (std::thread& other : others) {
      other.join();
    }
  }

 private:
  void serve_thread(int index) {
    apply_scheduling(share_.options.scheduling);
    Board& board = share_.slots.board();
    Slot& slot = share_.slots.slot(worker_.id, index);
    slot.set_thread(gettid());
    RequestLoop loop(app_, share_.options, worker_, ready_, share_.sink, slot, board, index);
    while (!orders::pending(orders::kLeave)) {
      const std::uint64_t before = slot.requests();
      if (ready_.lost()) {
        end_without_descriptors();
      }
      if (!loop.serve_next()) {
        attend();
      } else if (slot.requests() != before) {  // a health check is no request
        retire_when_due(board);
      }
    }
    announce_leave();
    while (loop.serve_at_hand()) {
    }
    if (board.stopping) {
      // Nobody else will serve those who wait in the listen queue.
      while (loop.serve_queued()) {
      }
    }
    if (board.leaving) {
      serve_last_requests(loop, index);
    }
  }

  // Of the peers that keep connections to this generation, each may be about to use one.
  void serve_last_requests(RequestLoop& loop, int index) {
    constexpr std::chrono::seconds kPatience{2};
    constexpr std::chrono::milliseconds kLook{10};
    const auto end = std::chrono::steady_clock::now() + kPatience;
    ready_.give_back_idle(index);
    // What another worker has in hand, for this very look or for a request, is that one's to end.
    while (ready_.any_idle()) {
      if (std::chrono::steady_clock::now() >= end) {
        return ready_.drop_idle(index);
      }
      loop.serve_within(kLook);
    }
  }

  void retire_when_due(Board& board) {
    const std::string reason = retirement_.due();
    int nobody = 0;
    if (!reason.empty() && board.retiring.compare_exchange_strong(nobody, worker_.id)) {
      share_.sink.write(log::EventKind::worker_replaced, {},
                        fmt::format("worker {} is replaced: {}", worker_.id, reason),
                        {{"of_worker", std::int64_t{worker_.id}},
                         {"of_pid", std::int64_t{getpid()}},
                         {"reason", reason}});
      orders::give(orders::kLeave);
    }
  }

  // Before it has left: from now on the master bounds how long that may take.
  void announce_leave() {
    if (!announced_.exchange(true)) {
      master_.send({MessageType::leaving, worker_.id});
    }
  }

  void attend() {
    if (orders::take(orders::kReopen)) {
      reopen_log();
    }
  }

  // What it was serving is answered. The connections that it has are in other processes, too.
  [[noreturn]] void end_without_descriptors() {
    share_.sink.write(log::EventKind::descriptors_lost, {},
                      fmt::format("worker {} ends: the application has closed the server's own "
                                  "descriptors; it may close what it has opened",
                                  worker_.id),
                      {{"of_worker", std::int64_t{worker_.id}}});
    _exit(1);
  }

  void reopen_log() {
    const std::uint32_t round = share_.slots.board().reopen;
    if (!share_.sink.reopen()) {
      seat_.reopen_failed = round;
    }
    seat_.reopened = round;
  }

  const GenerationShare& share_;
  const Channel& master_;
  App& app_;
  Worker worker_;
  Seat& seat_;
  ReadyList ready_;
  Retirement retirement_;
  std::atomic<bool> announced_ = false;
};

[[noreturn]] void fail_start(const Channel& master, const std::string& why) {
  master.send({MessageType::start_failed, 0, why});
  flush_output();
  _exit(1);
}

}  // namespace

void die_with_master(pid_t master) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != master) {
    _exit(1);  // it ended before the line above
  }
}

void run_worker(const GenerationShare& share, int worker, const Channel& master, App* app) {
  claim_process();
  orders::obey(share.slots.seat(worker).orders, master);
  share.sink.set_identity({worker, share.generation});
  share.sink.count_drops_in(share.slots.seat(worker).log_lines_dropped);
  set_title(share.options.procname_prefix,
            fmt::format("worker {}, generation {}", worker, share.generation));
  const SignalStack signal_stack;
  report_crashes(share.sink);
  reseed_libc();
  if (share.log_groups != nullptr) {
    share.sink.gather(share.log_groups->of(worker));
  }
  if (app == nullptr) {
    const auto thrown = thrown_by_application(share.sink, {}, "load", [&] {
      app = &load_app(share.options.app, share.app_copy, share.sink);
    });
    if (thrown) {
      fail_start(master, *thrown);
    }
    const Descriptor mapped(share.app_copy);
  }
  WorkerProcess process(share, worker, master, *app);
  if (share.options.harakiri.count() > 0) {
    start_harakiri_watch(*app, share.sink);
  }
  const auto start_thrown = thrown_by_application(share.sink, {}, "on_worker_start",
                                                  [&] { app->on_worker_start(process.worker()); });
  if (start_thrown) {
    fail_start(master, "on_worker_start threw: " + *start_thrown);
  }
  note_loaded_objects();
  if (share.slots.board().leaving || !master.send({MessageType::ready, worker})) {
    _exit(0);  // the generation has been given up while this worker started
  }
  process.serve();
  const auto stop_thrown =
      thrown_by_application(share.sink, {}, "on_worker_stop", [&] { app->on_worker_stop(); });
  if (stop_thrown) {
    share.sink.write(log::EventKind::hook_threw, {}, "on_worker_stop threw: " + *stop_thrown,
                     {{"hook", std::string_view("on_worker_stop")}, {"what", *stop_thrown}});
  }
  bool ended = false;
  std::optional<Message> order = master.receive(ended);
  if (order && order->type == MessageType::refork && !share.slots.board().leaving) {
    become_template(share, worker, master, Channel(std::move(order->descriptor)), *app);
  }
  // No destructors: they would touch, and so copy, every page that the worker shares with the
  // template.
  flush_output();
  _exit(0);
}

}  // namespace forktail::server
