#include "server/dispatch/worker_signals.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>

namespace forktail::server::worker_signals {

namespace {

constexpr int kMostThreads = 1024;
constexpr std::array kObeyed{SIGTERM, SIGQUIT, SIGUSR1};
// To the other threads. The noted signal itself would, by the time that they run, look like news.
constexpr int kWake = SIGURG;

// Handlers can reach nothing but static storage.
std::atomic<unsigned> noted;
std::array<std::atomic<pid_t>, kMostThreads> threads;
std::atomic<int> thread_count;

Kind kind_of(int signal) { return signal == SIGUSR1 ? kReopen : kLeave; }

void note(int signal) {
  const int error = errno;
  noted.fetch_or(kind_of(signal));
  const auto self = static_cast<pid_t>(syscall(SYS_gettid));
  for (int i = 0; i < thread_count.load(); ++i) {
    if (threads[static_cast<std::size_t>(i)] != self) {
      syscall(SYS_tgkill, getpid(), threads[static_cast<std::size_t>(i)].load(), kWake);
    }
  }
  errno = error;
}

void do_nothing(int) {}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

sigset_t obeyed() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, kWake);
  for (const int signal : kObeyed) {
    sigaddset(&set, signal);
  }
  return set;
}

}  // namespace

void install() {
  noted = 0;
  thread_count = 0;
  for (const int signal : kObeyed) {
    handle(signal, note);
  }
  // Not SIG_IGN, which the programs that the application starts would inherit.
  for (const int signal : {SIGINT, SIGHUP, kWake}) {
    handle(signal, do_nothing);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void hold() {
  const sigset_t control = obeyed();
  pthread_sigmask(SIG_BLOCK, &control, nullptr);
}

void join() {
  const int index = thread_count.load();
  threads[static_cast<std::size_t>(index)] = static_cast<pid_t>(syscall(SYS_gettid));
  thread_count = index + 1;
}

bool pending(Kind kind) { return (noted.load(std::memory_order_acquire) & kind) != 0; }

bool take(Kind kind) { return (noted.fetch_and(~static_cast<unsigned>(kind)) & kind) != 0; }

int wait(int epoll, epoll_event& event, BusyPoll& poll) {
  using Clock = BusyPoll::Clock;
  if (noted.load(std::memory_order_acquire) != 0) {
    return 0;
  }
  // A busy server finds an event at once and needs no more system calls than this one.
  int ready = epoll_wait(epoll, &event, 1, 0);
  if (ready != 0) {
    return ready;
  }
  for (poll.begin(Clock::now()); ready == 0 && poll.look_again();) {
    const Clock::time_point before = Clock::now();
    sched_yield();
    poll.yielded(before, Clock::now());
    ready = epoll_wait(epoll, &event, 1, 0);
  }
  if (ready != 0) {
    return ready;
  }
  static const sigset_t control = obeyed();
  sigset_t outside;
  pthread_sigmask(SIG_BLOCK, &control, &outside);
  const int got =
      noted.load(std::memory_order_acquire) != 0 ? 0 : epoll_pwait(epoll, &event, 1, -1, &outside);
  poll.woken(Clock::now());
  const bool interrupted = got < 0 && errno == EINTR;
  pthread_sigmask(SIG_SETMASK, &outside, nullptr);
  return interrupted ? 0 : got;
}

}  // namespace forktail::server::worker_signals
