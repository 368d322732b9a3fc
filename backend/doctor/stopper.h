// Stops processes for a moment (SIGSTOP), and lets them go on whatever happens.
//
// Owns a watchdog: a process of its own, out of the doctor's session, that lets all of them go on
// when the doctor has ended, however it ended, or has kept them stopped for longer than kLongest.
// Used by one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace forktail::doctor {

class Stopper {
 public:
  // No process is ever stopped for longer: gunicorn's master kills a worker that is silent for 30
  // s.
  static constexpr std::chrono::milliseconds kLongest{5000};

  // Throws std::runtime_error when the watchdog can not be started, or one of `pids` is gone, may
  // not be stopped, or is stopped already by somebody else.
  explicit Stopper(const std::vector<pid_t>& pids);
  ~Stopper();
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;

  // Returns when all but `runs` stand still; those that have ended meanwhile do too. False when one
  // does not within half a second; then all go on.
  bool stop_all_but(pid_t runs);
  void go_on();

 private:
  struct Stoppable {
    pid_t pid;
    int handle;  // a pidfd: the number alone may be another process's by now
  };

  void start_watchdog();
  [[noreturn]] void watch(int commands, int ready) const;
  void signal_all(int number, pid_t but) const;
  void tell_watchdog(char command) const;

  std::vector<Stoppable> processes_;
  int watchdog_ = -1;  // its pipe: what is said to it, and by its end that the doctor has ended
  pid_t watchdog_pid_ = -1;
  bool stopped_ = false;
};

}  // namespace forktail::doctor
