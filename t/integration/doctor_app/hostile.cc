// Applications that make an examination hard: one fixture each, named by FIXTURE.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "fixture.h"

namespace {

void wait_for_ever() {
  for (;;) {
    pause();
  }
}

struct Nothing {
  static void at_load() {}
  static void at_worker_start() {}
  static std::string answer() { return "hello\n"; }
  static void at_worker_stop() {}
};

struct HangsAtLoad : Nothing {
  static void at_load() { wait_for_ever(); }
};

struct CrashesAtLoad : Nothing {
  static void at_load() { raise(SIGSEGV); }
};

struct ExitsAtLoad : Nothing {
  static void at_load() { exit(0); }
};

struct ThrowsAtLoad : Nothing {
  static void at_load() { throw std::runtime_error("no database"); }
};

// As a library does whose lock another thread holds.
struct HangsAtFork : Nothing {
  static void at_load() {
    epoll_create1(EPOLL_CLOEXEC);  // which is found all the same
    pthread_atfork(wait_for_ever, nullptr, nullptr);
  }
};

struct HangsAtStart : Nothing {
  static void at_worker_start() { wait_for_ever(); }
};

struct LongAnswer : Nothing {
  static std::string answer() { return std::string(std::size_t{20} << 20, 'x'); }
};

struct HangsInAnswer : Nothing {
  static std::string answer() {
    wait_for_ever();
    return {};
  }
};

struct CrashesInAnswer : Nothing {
  static std::string answer() { abort(); }
};

struct HangsAtStop : Nothing {
  static void at_worker_stop() { wait_for_ever(); }
};

// A daemon of its own, which obeys no signal that can be ignored.
struct LeavesDaemon : Nothing {
  static void at_load() {
    if (fork() == 0) {
      setsid();
      if (fork() != 0) {
        _exit(0);
      }
      for (int number = 1; number < NSIG; ++number) {
        signal(number, SIG_IGN);
      }
      wait_for_ever();
    }
  }
};

struct IgnoresSignals : Nothing {
  static void at_worker_start() {
    for (int number = 1; number < NSIG; ++number) {
      signal(number, SIG_IGN);
    }
  }
};

}  // namespace

void fixture::at_load() { FIXTURE::at_load(); }
void fixture::at_worker_start() { FIXTURE::at_worker_start(); }
std::string fixture::answer() { return FIXTURE::answer(); }
void fixture::at_worker_stop() { FIXTURE::at_worker_stop(); }
