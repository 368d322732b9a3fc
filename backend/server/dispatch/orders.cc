#include "server/dispatch/orders.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "server/dispatch/bell.h"
#include "server/os/signals.h"
#include "server/shared/own_process.h"

namespace forktail::server::orders {

namespace {

constexpr std::array kTelling{SIGTERM, SIGQUIT, SIGUSR1};
constexpr std::array kNothing{SIGINT, SIGHUP, SIGPIPE, SIGXFSZ};

// Handlers can reach nothing but static storage.
std::atomic<std::uint32_t> noted;  // before, and after, there is a place in shared memory
std::atomic<std::atomic<std::uint32_t>*> place_of_orders = &noted;
std::atomic<const Channel*> channel_to_master = nullptr;

std::uint32_t all_pending() { return place_of_orders.load()->load() & kAll; }

void ask_for_bell() {
  if (const Channel* master = channel_to_master.load()) {
    master->send({MessageType::ordered});  // or it sees the order when it looks the next time
  }
}

void note(int signal) {
  const int error = errno;
  // A child of the application's, which the signal is meant for.
  if (place_of_orders.load() != &noted && is_copy()) {
    ::signal(signal, SIG_DFL);
    raise(signal);
    return;
  }
  give(signal == SIGUSR1 ? kReopen : kLeave);
  errno = error;
}

}  // namespace

void install_signals() {
  noted = 0;
  disobey();
  for (const int signal : kTelling) {
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
  }
  disregard(kNothing);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void hold_signals() {
  sigset_t held;
  sigemptyset(&held);
  for (const int signal : kTelling) {
    sigaddset(&held, signal);
  }
  for (const int signal : kNothing) {
    sigaddset(&held, signal);
  }
  pthread_sigmask(SIG_BLOCK, &held, nullptr);
}

// A signal that comes in between is noted in the one place or in the other.
void obey(std::atomic<std::uint32_t>& place, const Channel& master) {
  channel_to_master = &master;
  place_of_orders = &place;
  place.fetch_or(noted.exchange(0));
}

void disobey() {
  place_of_orders = &noted;
  channel_to_master = nullptr;
}

bool pending(Order order) { return (all_pending() & order) != 0; }

bool take(Order order) {
  return (place_of_orders.load()->fetch_and(~std::uint32_t{order}) & order) != 0;
}

void give(Order order) {
  place_of_orders.load()->fetch_or(order);
  ask_for_bell();
}

int wait(int epoll, epoll_event& event, BusyPoll& poll, SharedFlag& asleep) {
  using Clock = BusyPoll::Clock;
  if (all_pending() != 0) {
    return 0;
  }
  // A busy server finds an event at once and needs no more system calls than this one.
  int ready = epoll_wait(epoll, &event, 1, 0);
  if (ready == 0) {
    for (poll.begin(Clock::now()); ready == 0 && poll.look_again();) {
      const Clock::time_point before = Clock::now();
      sched_yield();
      poll.yielded(before, Clock::now());
      ready = epoll_wait(epoll, &event, 1, 0);
    }
  }
  if (ready == 0) {
    // In this order: the master gives an order first and looks for sleepers then.
    asleep = true;
    ready = all_pending() != 0 ? 0 : epoll_wait(epoll, &event, 1, -1);
    asleep = false;
    poll.woken(Clock::now());
  }
  if (ready > 0 && event.data.u64 == kBellEvent) {
    if (all_pending() == 0) {  // it rings for somebody else, who may be next now
      constexpr std::chrono::microseconds kStepBack{500};
      std::this_thread::sleep_for(kStepBack);
    }
    return 0;
  }
  return ready < 0 && errno == EINTR ? 0 : ready;
}

}  // namespace forktail::server::orders
