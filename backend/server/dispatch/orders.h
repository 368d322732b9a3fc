// What a worker is told to do, and the wait that an order ends.
//
// The master tells by bits in the worker's seat, and rings the generation's bell for threads that
// sleep (bell.h). It sends no signal: one that comes while the application runs makes its sleep(),
// poll() and recv() return early, and an application that blocks or handles signals would miss it.
// Each thread looks between two requests, and before it sleeps. Somebody else may still tell a
// worker by signals; a handler notes the order in the same place and asks the master for the bell.
// One set a process.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>

#include "server/dispatch/busy_poll.h"
#include "server/os/shared_flag.h"
#include "server/shared/channel.h"

namespace forktail::server::orders {

enum Order : std::uint32_t {
  kLeave = 1,   // SIGTERM, SIGQUIT
  kReopen = 2,  // the logs; SIGUSR1
};
constexpr std::uint32_t kAll = kLeave | kReopen;

// Handles those signals. SIGINT and SIGHUP, which a terminal sends to the whole process group, are
// the master's to act on and do nothing here. In the process that forks a worker, or in the worker
// before anybody knows it.
void install_signals();
// Lets them wait until that: over an exec, which keeps no handlers.
void hold_signals();

// From now on the orders are in `place`. `master` is asked for the bell; both must outlive this,
// until disobey(): what comes after that is noted, and nothing else.
void obey(std::atomic<std::uint32_t>& place, const Channel& master);
void disobey();

[[nodiscard]] bool pending(Order order);
// Takes the order down; false if another thread was faster.
bool take(Order order);
// To all threads of this process, by one of them.
void give(Order order);

// As epoll_wait() for one event, but returns 0 as soon as there is an order; -1 when there is
// nothing to wait for any more, since the application has closed the epoll instance. `poll` says
// how often it looks before it sleeps, `asleep` tells the master that it does.
int wait(int epoll, epoll_event& event, BusyPoll& poll, SharedFlag& asleep);

}  // namespace forktail::server::orders
