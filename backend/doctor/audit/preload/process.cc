// In front of the calls that change the process: threads, timers, signals, memory, locks, random
// numbers, environment.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "doctor/audit/preload/record.h"

namespace preload = forktail::doctor::preload;
using forktail::doctor::Made;
using forktail::doctor::Record;

namespace {

struct Start {
  void* (*function)(void*);
  void* argument;
  Record* record;
};

// Its number is known to the thread alone, and wanted as soon as the thread is there.
void wait_until_settled(const Record* record) {
  constexpr int kAttempts = 20'000;
  for (int i = 0; i < kAttempts && !preload::settled(record); ++i) {
    usleep(50);
  }
}

void* run_thread(void* argument) {
  const Start start = *static_cast<Start*>(argument);
  delete static_cast<Start*>(argument);
  preload::settle(start.record, gettid());
  return start.function(start.argument);
}

}  // namespace

FORKTAIL_EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                   void* (*function)(void*), void* argument) noexcept {
  FORKTAIL_REAL(pthread_create);
  Record* record = preload::reserve(Made::thread);
  if (record == nullptr) {
    return real(thread, attributes, function, argument);
  }
  auto* start = new (std::nothrow) Start{function, argument, record};
  if (start == nullptr) {
    return real(thread, attributes, function, argument);
  }
  const int error = real(thread, attributes, run_thread, start);
  if (error == 0) {
    wait_until_settled(record);
  } else {
    delete start;
    preload::drop(record);
  }
  return error;
}

FORKTAIL_EXPORT int timer_create(clockid_t clock, sigevent* event, timer_t* timer) noexcept {
  FORKTAIL_REAL(timer_create);
  const int result = real(clock, event, timer);
  if (result == 0) {
    const bool hidden = event != nullptr && event->sigev_notify == SIGEV_THREAD;
    preload::note(Made::posix_timer, hidden ? -1 : reinterpret_cast<std::intptr_t>(*timer));
  }
  return result;
}

FORKTAIL_EXPORT int setitimer(__itimer_which_t which, const itimerval* value,
                              itimerval* old) noexcept {
  FORKTAIL_REAL(setitimer);
  preload::note(Made::itimer, which);
  return real(which, value, old);
}

FORKTAIL_EXPORT unsigned alarm(unsigned seconds) noexcept {
  FORKTAIL_REAL(alarm);
  preload::note(Made::itimer, ITIMER_REAL);
  return real(seconds);
}

FORKTAIL_EXPORT int sigaction(int number, const struct sigaction* action,
                              struct sigaction* old) noexcept {
  using Real = int(int, const struct sigaction*, struct sigaction*);
  static auto* const real = preload::next<Real>("sigaction");
  if (action != nullptr) {
    preload::note(Made::handler, number);
  }
  return real(number, action, old);
}

FORKTAIL_EXPORT sighandler_t signal(int number, sighandler_t handler) noexcept {
  FORKTAIL_REAL(signal);
  preload::note(Made::handler, number);
  return real(number, handler);
}

FORKTAIL_EXPORT int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  FORKTAIL_REAL(pthread_sigmask);
  if (set != nullptr) {
    preload::note(Made::mask, 0);
  }
  return real(how, set, old);
}

FORKTAIL_EXPORT int sigprocmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  FORKTAIL_REAL(sigprocmask);
  if (set != nullptr) {
    preload::note(Made::mask, 0);
  }
  return real(how, set, old);
}

FORKTAIL_EXPORT void* mmap(void* at, size_t size, int protection, int flags, int descriptor,
                           off_t offset) noexcept {
  FORKTAIL_REAL(mmap);
  void* const memory = real(at, size, protection, flags, descriptor, offset);
  if ((flags & MAP_SHARED) != 0 && memory != MAP_FAILED) {
    preload::note(Made::mapping, reinterpret_cast<std::intptr_t>(memory));
  }
  return memory;
}

FORKTAIL_EXPORT void* mmap64(void* at, size_t size, int protection, int flags, int descriptor,
                             off64_t offset) noexcept {
  FORKTAIL_REAL(mmap64);
  void* const memory = real(at, size, protection, flags, descriptor, offset);
  if ((flags & MAP_SHARED) != 0 && memory != MAP_FAILED) {
    preload::note(Made::mapping, reinterpret_cast<std::intptr_t>(memory));
  }
  return memory;
}

FORKTAIL_EXPORT int flock(int descriptor, int operation) noexcept {
  FORKTAIL_REAL(flock);
  preload::note(Made::lock, descriptor);
  return real(descriptor, operation);
}

FORKTAIL_EXPORT int lockf(int descriptor, int command, off_t size) {
  FORKTAIL_REAL(lockf);
  preload::note(Made::lock, descriptor);
  return real(descriptor, command, size);
}

namespace {

bool is_lock(int command) {
  return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
         command == F_OFD_SETLKW;
}

bool is_copy(int command) { return command == F_DUPFD || command == F_DUPFD_CLOEXEC; }

}  // namespace

// Every command of fcntl(2) takes one argument of a register's size, or none.
FORKTAIL_EXPORT int fcntl(int descriptor, int command, ...) {
  FORKTAIL_REAL(fcntl);
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  if (is_lock(command)) {
    preload::note(Made::lock, descriptor);
  }
  const int result = real(descriptor, command, argument);
  if (is_copy(command) && result >= 0) {
    preload::note(Made::descriptor, result);
  }
  return result;
}

FORKTAIL_EXPORT int fcntl64(int descriptor, int command, ...) {
  FORKTAIL_REAL(fcntl64);
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  if (is_lock(command)) {
    preload::note(Made::lock, descriptor);
  }
  const int result = real(descriptor, command, argument);
  if (is_copy(command) && result >= 0) {
    preload::note(Made::descriptor, result);
  }
  return result;
}

FORKTAIL_EXPORT void srand(unsigned seed) noexcept {
  FORKTAIL_REAL(srand);
  preload::note(Made::random, 0);
  real(seed);
}

FORKTAIL_EXPORT void srandom(unsigned seed) noexcept {
  FORKTAIL_REAL(srandom);
  preload::note(Made::random, 0);
  real(seed);
}

FORKTAIL_EXPORT void srand48(long seed) noexcept {
  FORKTAIL_REAL(srand48);
  preload::note(Made::random, 0);
  real(seed);
}

FORKTAIL_EXPORT int rand() noexcept {
  FORKTAIL_REAL(rand);
  preload::note_first(Made::random, 0);
  return real();
}

FORKTAIL_EXPORT long random() noexcept {
  FORKTAIL_REAL(random);
  preload::note_first(Made::random, 0);
  return real();
}

FORKTAIL_EXPORT int setenv(const char* name, const char* value, int overwrite) noexcept {
  FORKTAIL_REAL(setenv);
  preload::note(Made::environment, forktail::doctor::hash_of_name(name));
  return real(name, value, overwrite);
}

FORKTAIL_EXPORT int putenv(char* setting) noexcept {
  FORKTAIL_REAL(putenv);
  preload::note(Made::environment, forktail::doctor::hash_of_name(setting));
  return real(setting);
}

FORKTAIL_EXPORT int unsetenv(const char* name) noexcept {
  FORKTAIL_REAL(unsetenv);
  preload::note(Made::environment, forktail::doctor::hash_of_name(name));
  return real(name);
}

FORKTAIL_EXPORT mode_t umask(mode_t mask) noexcept {
  FORKTAIL_REAL(umask);
  preload::note(Made::umask, 0);
  return real(mask);
}
