// How long the doctor may take, and an end by signal in good order.
//
// While a Patience lives, SIGINT, SIGTERM and SIGHUP do not end the process: they are taken by its
// pauses. One at a time, in the one thread that there is.
#pragma once

#include <signal.h>

#include <chrono>
#include <stdexcept>

namespace forktail::doctor {

// The time is up, or a signal asks for an end: what() says which.
class OutOfPatience : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Patience {
 public:
  explicit Patience(std::chrono::milliseconds limit);
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // Never below zero.
  [[nodiscard]] std::chrono::milliseconds left() const;
  [[nodiscard]] std::chrono::milliseconds limit() const { return limit_; }

  // Waits for a moment. Throws OutOfPatience.
  void pause(std::chrono::milliseconds time);

  // For a child: gives back the signals as they were.
  void restore_signals() const;

 private:
  std::chrono::milliseconds limit_;
  std::chrono::steady_clock::time_point end_;
  sigset_t taken_;
  sigset_t before_;
};

}  // namespace forktail::doctor
