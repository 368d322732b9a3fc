#include "doctor/app/patience.h"

#include <fmt/format.h>
#include <pthread.h>
#include <string.h>

#include <algorithm>

namespace forktail::doctor {

Patience::Patience(std::chrono::milliseconds limit)
    : limit_(limit), end_(std::chrono::steady_clock::now() + limit), taken_{}, before_{} {
  sigemptyset(&taken_);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&taken_, number);
  }
  pthread_sigmask(SIG_BLOCK, &taken_, &before_);
}

Patience::~Patience() { restore_signals(); }

void Patience::restore_signals() const { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

std::chrono::milliseconds Patience::left() const {
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::duration_cast<std::chrono::milliseconds>(
                      end_ - std::chrono::steady_clock::now()));
}

void Patience::pause(std::chrono::milliseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  const timespec wait{static_cast<time_t>(seconds.count()),
                      static_cast<long>(std::chrono::nanoseconds(time - seconds).count())};
  if (const int number = sigtimedwait(&taken_, nullptr, &wait); number > 0) {
    throw OutOfPatience(fmt::format("ended by SIG{}", sigabbrev_np(number)));
  }
  if (left().count() == 0) {
    throw OutOfPatience(fmt::format("the time limit of {} s is over (--timeout)",
                                    static_cast<double>(limit_.count()) / 1000));
  }
}

}  // namespace forktail::doctor
