// The signals that a worker obeys, and a wait that they end.
//
// A handler only notes the signal and wakes the worker's other threads; the threads act between two
// requests. The signals are not blocked while the application runs, so that programs which it
// starts do not inherit a blocked SIGTERM. The one race that this leaves, a signal between looking
// at the note and going to sleep, is closed in wait(). One set a process; installed by its main
// thread.
#pragma once

#include <sys/epoll.h>

#include "server/dispatch/busy_poll.h"

namespace forktail::server::worker_signals {

// SIGTERM and SIGQUIT (leave), SIGUSR1 (reopen logs). SIGINT and SIGHUP,
// which a terminal sends to the whole process group, are the master's to act on and do nothing
// here. In the process that forks a worker, or in the worker before anybody knows it; each serving
// thread calls join() once.
void install();
// Lets them wait until install(): over an exec, which keeps no handlers.
void hold();
void join();

enum Kind : unsigned { kLeave = 1, kReopen = 2 };

bool pending(Kind kind);
// Takes the note down; false if another thread was faster.
bool take(Kind kind);

// As epoll_wait() for one event, but returns 0 as soon as a note is, or was, made; -1 when there is
// nothing to wait for any more, since the application has closed the epoll instance. `poll` says
// how often it looks before it sleeps.
int wait(int epoll, epoll_event& event, BusyPoll& poll);

}  // namespace forktail::server::worker_signals
