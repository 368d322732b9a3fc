#include "server/child/template.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "server/child/app_image.h"
#include "server/child/exec_worker.h"
#include "server/child/fork_audit.h"
#include "server/child/worker.h"
#include "server/dispatch/orders.h"
#include "server/os/fork_error.h"
#include "server/os/signals.h"
#include "server/os/title.h"
#include "server/shared/logging.h"
#include "server/shared/output.h"
#include "server/shared/own_process.h"

namespace forktail::server {

namespace {

void default_signals() {
  // A terminal sends the first three to the whole process group; the master decides what they mean.
  constexpr std::array kDisregarded{SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGXFSZ};
  disregard(kDisregarded);
  reset_signals_but(kDisregarded);
}

void close_inherited(const GenerationShare& share, const Channel& master) {
  std::vector<int> keep = share.descriptors();
  const std::vector<int>& listeners = share.dispatch.listeners;
  keep.insert(keep.end(), listeners.begin(), listeners.end());
  keep.push_back(share.sink.descriptor());
  keep.push_back(master.descriptor());
  close_all_but(keep);
  reserve(share.dispatch.kept.numbers());
}

// Runs in the worker's process. Its parent is about to end, which makes the master its parent.
[[noreturn]] void begin_worker(const GenerationShare& share, int worker, pid_t forker,
                               const Channel& channel, App* app) {
  while (getppid() == forker) {
    sched_yield();
  }
  die_with_master(share.master);
  if (share.options.fork_mode == ForkMode::exec) {
    const std::string why = exec_worker(share, worker, channel);
    channel.send({MessageType::start_failed, worker, why});
    _exit(1);
  }
  run_worker(share, worker, channel, app);
}

// Before there is a worker: so no signal ever finds one that has no handlers. An exec keeps none of
// them, but it keeps what is blocked and waits.
void prepare_signals(ForkMode mode) {
  if (mode == ForkMode::exec) {
    orders::hold_signals();
  } else {
    orders::install_signals();
  }
}

// The master reads what its loop has time for; what it has not read is waited for.
void tell(const Channel& master, const Message& message) {
  while (!master.send(message) && errno == EAGAIN) {
    pollfd watched{master.descriptor(), POLLOUT, 0};
    poll(&watched, 1, -1);
  }
}

// Forks a worker that is not this process's child but the master's: through a process in between
// that ends at once, whereupon the kernel gives its child to the nearest subreaper. Sets `born`.
// Returns an error's text.
std::string fork_worker(const GenerationShare& share, int worker, Channel channel,
                        const Channel& master, App* app, pid_t& born) {
  flush_output();  // what is unwritten would be written once by each worker
  share.sink.reopen_if_moved();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return std::generic_category().message(errno);
  }
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const pid_t forker = fork();
  if (forker < 0) {
    return fork_error(errno);
  }
  if (forker == 0) {
    const pid_t self = getpid();
    prepare_signals(share.options.fork_mode);
    const pid_t pid = fork();
    if (pid == 0) {
      ::close(reading.get());
      ::close(writing.get());
      ::close(master.descriptor());
      begin_worker(share, worker, self, channel, app);
    }
    _exit(pid < 0 || write(writing.get(), &pid, sizeof(pid)) != sizeof(pid) ? errno : 0);
  }
  int status = 0;
  while (waitpid(forker, &status, 0) < 0 && errno == EINTR) {
  }
  writing.reset();
  if (status == 0 && read(reading.get(), &born, sizeof(born)) == sizeof(born)) {
    return {};
  }
  return WIFEXITED(status) ? fork_error(WEXITSTATUS(status))
                           : std::string("the forking process was killed");
}

App* load_for_all(const GenerationShare& share, const Channel& master) {
  if (share.options.fork_mode != ForkMode::preload) {
    return nullptr;
  }
  App* app = nullptr;
  const auto thrown = thrown_by_application(share.sink, {}, "load", [&] {
    app = &load_and_audit(share.options, share.app_copy, share.sink);
  });
  if (thrown) {
    master.send({MessageType::load_failed, 0, *thrown});
    flush_output();
    _exit(1);
  }
  return app;
}

// Forks a worker for each order, until the generation leaves.
[[noreturn]] void obey_orders(const GenerationShare& share, const Channel& master, App* app) {
  master.send({MessageType::loaded});
  for (;;) {
    pollfd watched{master.descriptor(), POLLIN, 0};
    poll(&watched, 1, -1);
    bool ended = false;
    std::optional<Message> order = master.receive(ended);
    if (ended) {
      flush_output();
      _exit(0);  // the generation is leaving, and needs no more workers
    }
    if (!order || order->type != MessageType::spawn) {
      continue;
    }
    pid_t born = 0;
    const std::string error =
        fork_worker(share, order->worker, Channel(std::move(order->descriptor)), master, app, born);
    if (error.empty()) {
      tell(master, {MessageType::spawned, order->worker, {}, {}, born});
    } else {
      tell(master, {MessageType::spawn_failed, order->worker, error});
    }
  }
}

}  // namespace

void run_template(const GenerationShare& given, Channel master) {
  GenerationShare share = given;
  die_with_master(share.master);
  if (share.options.tls) {
    prctl(PR_SET_DUMPABLE, 1);  // the key is the master's and stays there
  }
  claim_process();
  default_signals();
  close_inherited(share, master);
  apply_umask(share.options);  // which a reload may have changed
  apply_environment(share.options);
  set_log_level(share.sink, share.options);
  share.sink.set_identity({0, share.generation});
  share.sink.count_drops_in(share.slots.board().log_lines_dropped);
  set_title(share.options.procname_prefix,
            fmt::format("template, generation {}", share.generation));
  Descriptor copy = copy_app(share.options.app);
  share.app_copy = copy.get();
  App* app = load_for_all(share, master);
  if (app != nullptr) {
    copy.reset();  // it is mapped, and no worker loads it again
  }
  obey_orders(share, master, app);
}

void run_reforked_template(const GenerationShare& share, Channel master, App& app) {
  default_signals();
  share.sink.set_identity({0, share.generation});
  share.sink.count_drops_in(share.slots.board().log_lines_dropped);
  set_title(share.options.procname_prefix,
            fmt::format("template, generation {}", share.generation));
  obey_orders(share, master, &app);
}

}  // namespace forktail::server
