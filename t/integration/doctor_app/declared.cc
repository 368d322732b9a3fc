// Traps that the application knows of, and declares.
#include <forktail/fork_safe.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "fixture.h"

void fixture::at_load() {
  epoll_create1(EPOLL_CLOEXEC);
  forktail::fork_safe("epoll", "watched by the template alone");
  eventfd(0, EFD_CLOEXEC);
  forktail::fork_safe("event*", "a pattern names it, too");
  forktail::fork_safe("counter *", "counts what this worker has served");
}

std::string fixture::answer() {
  static int requests = 0;
  return "request " + std::to_string(++requests) + "\n";
}
