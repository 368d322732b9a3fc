#include "log/thread_ids.h"

#include <pthread.h>
#include <unistd.h>

namespace forktail::log {

namespace {

thread_local ThreadIds cached{};

// The thread that forks is the only one that the child has, and its cache is the only one
// inherited.
bool forget_after_fork() noexcept {
  return pthread_atfork(nullptr, nullptr, [] { cached = {}; }) == 0;
}

}  // namespace

ThreadIds thread_ids() noexcept {
  static const bool may_cache = forget_after_fork();
  if (cached.thread == 0 || !may_cache) {
    cached = {getpid(), gettid()};
  }
  return cached;
}

}  // namespace forktail::log
