#include "log/order.h"

#include <cerrno>

namespace forktail::log {

void Order::make() noexcept {
  pthread_mutex_init(&mutex_, nullptr);
  seq = 0;
}

void Order::make_shared() noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
  seq = 0;
}

void Order::lock() noexcept { static_cast<void>(taken(pthread_mutex_lock(&mutex_))); }

bool Order::try_lock() noexcept { return taken(pthread_mutex_trylock(&mutex_)); }

bool Order::taken(int outcome) noexcept {
  if (outcome == EOWNERDEAD) {
    pthread_mutex_consistent(&mutex_);
    return true;
  }
  return outcome == 0;
}

}  // namespace forktail::log
