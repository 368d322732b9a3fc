#include "server/generation/tls_front.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include "server/child/tls_process.h"
#include "server/os/fork_error.h"
#include "server/shared/describe.h"

namespace forktail::server {

namespace {

using log::EventKind;
using std::chrono::milliseconds;

bool speaks_tls(const Listener& listener, const Options& options) {
  return options.tls != nullptr && !listener.address.is_unix();
}

void add(Counters& counters, const TlsBoard* board) {
  if (board != nullptr) {
    const TlsFigures figures = board->read();
    counters.tls_handshakes += figures.handshakes;
    counters.tls_failures += figures.failures;
  }
}

}  // namespace

TlsFront::TlsFront(TlsQueue queue, log::Sink& sink)
    : master_(getpid()),
      sink_(sink),
      queue_(queue.reading && queue.writing ? std::move(queue) : TlsQueue::make()) {}

TlsFront::~TlsFront() {
  kill();
  for (const Process& process : processes_) {
    int status = 0;
    while (process.pid > 0 && waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
}

std::vector<int> TlsFront::for_workers(const std::vector<Listener>& listeners,
                                       const Options& options) const {
  std::vector<int> all;
  bool any = false;
  for (const Listener& listener : listeners) {
    if (speaks_tls(listener, options)) {
      any = true;
    } else {
      all.push_back(listener.descriptor.get());
    }
  }
  if (any) {
    all.push_back(queue_.reading.get());
  }
  return all;
}

std::shared_ptr<const TlsFront::Stand> TlsFront::make_stand(
    int generation, const Options& options, const std::vector<Listener>& listeners) const {
  std::vector<int> ours;
  for (const Listener& listener : listeners) {
    if (speaks_tls(listener, options)) {
      ours.push_back(listener.descriptor.get());
    }
  }
  if (ours.empty()) {
    return nullptr;
  }
  if (stand_ && stand_->options.tls == options.tls) {
    return stand_;  // as after a refork, whose options are those of before
  }
  return std::make_shared<const Stand>(Stand{options, std::move(ours), generation});
}

void TlsFront::start(const std::shared_ptr<const Stand>& stand) {
  for (int number = 1; number <= stand->options.tls_processes; ++number) {
    processes_.push_back({stand, number});
  }
}

// All but this one's processes leave.
void TlsFront::take_up(std::shared_ptr<const Stand> stand) {
  stand_ = std::move(stand);
  next_.reset();
  std::erase_if(processes_, [this](const Process& process) {
    return process.pid == 0 && process.stand != stand_;
  });
  for (Process& process : processes_) {
    if (process.stand != stand_) {
      send_away(process, false);
    }
  }
}

void TlsFront::stand_before(int generation, const Options& options,
                            const std::vector<Listener>& listeners) {
  const auto stand = make_stand(generation, options, listeners);
  if (stand && stand != stand_) {
    start(stand);
  }
  take_up(stand);
}

TlsFront::Change TlsFront::change_to(int generation, const Options& options,
                                     const std::vector<Listener>& listeners) {
  if (!next_) {
    auto stand = make_stand(generation, options, listeners);
    if (!stand || stand == stand_) {
      take_up(std::move(stand));
      return Change::stands;
    }
    failure_.clear();
    next_ = std::move(stand);
    start(next_);
  }
  if (!failure_.empty()) {
    take_up(stand_);
    return Change::failed;
  }
  if (std::ranges::any_of(processes_, [this](const Process& process) {
        return process.stand == next_ && !process.ready;
      })) {
    return Change::starting;
  }
  take_up(next_);
  return Change::stands;
}

void TlsFront::stay() {
  if (next_) {
    take_up(stand_);
  }
}

void TlsFront::leave(bool ending) {
  stand_.reset();
  next_.reset();
  std::erase_if(processes_, [](const Process& process) { return process.pid == 0; });
  for (Process& process : processes_) {
    send_away(process, ending);
  }
}

// The workers have as much time to end their requests, whose answers still go through it.
void TlsFront::send_away(Process& process, bool ending) {
  constexpr std::chrono::seconds kBehindTheWorkers{5};
  if (!process.kill_at) {
    process.kill_at = Clock::now() + process.stand->options.reload_mercy + kBehindTheWorkers;
    process.channel.send({MessageType::leave, ending ? 1 : 0});
  }
}

void TlsFront::kill() {
  for (Process& process : processes_) {
    if (process.pid > 0) {
      process.killed = true;
      ::kill(process.pid, SIGKILL);
    }
  }
}

bool TlsFront::all_handed_over() const {
  pollfd waiting{queue_.reading.get(), POLLIN, 0};
  return std::ranges::all_of(processes_,
                             [](const Process& process) { return process.handed_over; }) &&
         poll(&waiting, 1, 0) == 0;
}

void TlsFront::tell(Stats& stats) const {
  std::uint64_t waiting = 0;
  for (const Process& process : processes_) {
    if (process.pid > 0 && process.board != nullptr) {
      const TlsFigures figures = process.board->read();
      waiting += figures.waiting;
      stats.tls.push_back({process.number, process.stand->generation, process.pid, process.ready,
                           process.kill_at.has_value(), figures});
    }
  }
  if (!stats.tls.empty()) {
    const int all = connections_in(queue_.reading.get()) + static_cast<int>(waiting);
    stats.sockets.push_back({"tls", ListenQueue{all, 0}});
  }
}

Counters TlsFront::totals() const {
  Counters totals = past_;
  for (const Process& process : processes_) {
    add(totals, process.board.get());
  }
  return totals;
}

bool TlsFront::fork_due() {
  const auto due = std::ranges::find_if(processes_, [](const Process& process) {
    return process.start_at && *process.start_at <= Clock::now();
  });
  if (due == processes_.end()) {
    return false;
  }
  due->started = Clock::now();
  Channel ours;
  try {
    std::tie(ours, theirs_) = Channel::make();
    due->board = std::make_unique<TlsBoard>();
  } catch (const std::system_error& error) {
    on_gone(*due, error.what());
    return false;
  }
  std::fflush(nullptr);  // what is unwritten would be written twice
  due->pid = fork();
  if (due->pid == 0) {
    born_ = due - processes_.begin();
    return true;
  }
  const int error = errno;
  theirs_.close();
  if (due->pid < 0) {
    due->pid = 0;
    on_gone(*due, "not forked: " + fork_error(error));
    return false;
  }
  due->board->keep_from_others();
  due->channel = std::move(ours);
  due->start_at.reset();
  return false;
}

void TlsFront::become_process() {
  const Process& process = processes_[*born_];
  const TlsDuty duty{process.stand->options,    process.stand->listeners, queue_.writing.get(),
                     process.stand->generation, process.number,           *process.board};
  run_tls_process(duty, master_, sink_, theirs_);
}

void TlsFront::watch(std::vector<pollfd>& watched) const {
  for (const Process& process : processes_) {
    if (process.channel.descriptor() >= 0) {
      watched.push_back({process.channel.descriptor(), POLLIN, 0});
    }
  }
}

void TlsFront::read_messages() {
  for (Process& process : processes_) {
    bool ended = process.channel.descriptor() < 0;
    while (!ended) {
      const std::optional<Message> message = process.channel.receive(ended);
      if (!message) {
        break;
      }
      if (message->type == MessageType::ready) {
        process.ready = true;
        tell_of(EventKind::tls_process_ready, process, "TLS process {} (pid {}) accepts");
      } else if (message->type == MessageType::start_failed) {
        process.failure = message->text;
      } else if (message->type == MessageType::handed_over) {
        process.handed_over = true;
      }
    }
    if (ended) {
      process.channel.close();  // its death is about to be reported
    }
  }
}

bool TlsFront::reap(pid_t pid, int status) {
  const auto dead = std::ranges::find_if(
      processes_, [pid](const Process& process) { return process.pid == pid; });
  if (dead == processes_.end()) {
    return false;
  }
  read_messages();  // its last words
  add(past_, std::exchange(dead->board, nullptr).get());
  const bool expected =
      dead->killed || (dead->kill_at && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  if (expected) {
    tell_of(EventKind::tls_process_left, *dead, "TLS process {} (pid {}) left");
  } else {
    on_gone(*dead, dead->failure.empty() ? how_it_ended(status) : dead->failure);
  }
  if (dead->stand != stand_) {
    processes_.erase(dead);
  }
  return true;
}

// It was to go on.
void TlsFront::on_gone(Process& process, const std::string& how) {
  const bool again = process.stand == stand_;
  const milliseconds wait =
      again ? process.backoff.after_death(
                  process.ready ? Clock::now() - process.started : Clock::duration::zero(),
                  process.ready ? Backoff::kLongestOnceReady : Backoff::kLongest)
            : milliseconds(0);
  const std::string next = again ? fmt::format("; starting another in {} ms", wait.count()) : "";
  if (process.stand == next_ && failure_.empty()) {
    failure_ = fmt::format("TLS process {} did not start: {}", process.number, how);
  }
  const std::string what = process.ready
                               ? "TLS process {} (pid {}) was {}, and its connections have ended"
                               : "TLS process {} (pid {}) did not start: {}";
  tell_of(EventKind::tls_process_died, process, what + next, how, wait);
  sink_.mend_after_kill();
  if (again) {
    ++past_.tls_respawns;
    process.pid = 0;
    process.ready = false;
    process.failure.clear();
    process.channel.close();
    process.start_at = Clock::now() + wait;
  }
}

std::optional<TlsFront::Clock::time_point> TlsFront::next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const Process& process : processes_) {
    for (const auto& at : {process.start_at, process.kill_at}) {
      next = at && (!next || *at < *next) ? at : next;
    }
  }
  return next;
}

void TlsFront::act_on_deadlines() {
  const Clock::time_point now = Clock::now();
  for (Process& process : processes_) {
    if (process.kill_at && *process.kill_at <= now && process.pid > 0) {
      tell_of(EventKind::tls_process_killed, process, "killing TLS process {} (pid {}): {}",
              "it had not left within its mercy");
      ::kill(process.pid, SIGKILL);
      process.killed = true;
      process.kill_at = Clock::time_point::max();
    }
  }
}

void TlsFront::postpone(Clock::duration missed) {
  for (Process& process : processes_) {
    if (process.kill_at && *process.kill_at < Clock::time_point::max() - missed) {
      *process.kill_at += missed;
    }
  }
}

void TlsFront::tell_of(EventKind kind, const Process& process, std::string_view pattern,
                       const std::string& how, milliseconds retry) const {
  const std::array<log::Field, 4> fields{{{"of_tls", std::int64_t{process.number}},
                                          {"of_pid", std::int64_t{process.pid}},
                                          {"reason", how},
                                          {"retry_ms", retry}}};
  const std::size_t count = kind == EventKind::tls_process_died ? 4 : how.empty() ? 2 : 3;
  sink_.write(kind, {}, fmt::format(fmt::runtime(pattern), process.number, process.pid, how),
              std::span(fields).first(count));
}

}  // namespace forktail::server
