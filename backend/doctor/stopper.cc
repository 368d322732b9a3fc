#include "doctor/stopper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "doctor/process.h"

namespace forktail::doctor {

namespace {

constexpr char kStopping = 's';
constexpr char kGoingOn = 'g';

// By the system call: Debian 12's glibc has no name for it that C++ may use.
int send_signal(int handle, int number) {
  return static_cast<int>(syscall(SYS_pidfd_send_signal, handle, number, nullptr, 0));
}

bool stands_still(pid_t pid) {
  const auto process = read_process(pid);
  constexpr std::string_view kStill = "TtZX";
  return !process || kStill.find(process->state) != std::string_view::npos;
}

std::runtime_error can_not(const std::string& what) {
  return std::runtime_error(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

}  // namespace

Stopper::Stopper(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    const int handle = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (handle < 0 || send_signal(handle, 0) != 0) {
      throw can_not(fmt::format("worker {} can not be stopped", pid));
    }
    processes_.push_back({pid, handle});
    if (const auto process = read_process(pid); process && process->state == 'T') {
      throw std::runtime_error(
          fmt::format("worker {} is stopped already: let it go on (kill -CONT {})", pid, pid));
    }
  }
  start_watchdog();
}

Stopper::~Stopper() {
  go_on();
  close(watchdog_);  // its end
  if (watchdog_pid_ > 0) {
    waitpid(watchdog_pid_, nullptr, 0);
  }
  for (const Stoppable& process : processes_) {
    close(process.handle);
  }
}

void Stopper::start_watchdog() {
  std::array<int, 2> commands{};
  std::array<int, 2> ready{};
  if (pipe2(commands.data(), O_CLOEXEC) != 0 || pipe2(ready.data(), O_CLOEXEC) != 0) {
    throw can_not("the watchdog's pipe");
  }
  watchdog_pid_ = fork();
  if (watchdog_pid_ < 0) {
    throw can_not("the watchdog");
  }
  if (watchdog_pid_ == 0) {
    close(commands[1]);
    close(ready[0]);
    watch(commands[0], ready[1]);
  }
  close(commands[0]);
  close(ready[1]);
  watchdog_ = commands[1];
  // Nobody is stopped before the watchdog watches.
  char byte = 0;
  const bool watches = read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  if (!watches) {
    throw std::runtime_error("the watchdog has ended before it watched");
  }
}

// The watchdog's life. It calls nothing that takes a lock, for a fork may have left one locked.
void Stopper::watch(int commands, int ready) const {
  setsid();  // a signal to the doctor's group or terminal is none for it
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP}) {
    signal(number, SIG_IGN);
  }
  // Who waits for the end of the doctor's output shall not wait for it.
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    dup2(null, stream);
  }
  bool stopped = false;
  if (write(ready, "", 1) != 1) {
    _exit(1);
  }
  close(ready);
  for (;;) {
    pollfd waiting{commands, POLLIN, 0};
    const int events = poll(&waiting, 1, stopped ? static_cast<int>(kLongest.count()) : -1);
    char command = kGoingOn;
    const ssize_t size = events > 0 ? read(commands, &command, 1) : -1;
    if (size == 0) {
      signal_all(SIGCONT, 0);
      _exit(0);
    }
    stopped = size == 1 && command == kStopping;
    if (events == 0) {
      signal_all(SIGCONT, 0);  // the doctor itself stands still
    }
  }
}

void Stopper::signal_all(int number, pid_t but) const {
  for (const Stoppable& process : processes_) {
    if (process.pid != but) {
      send_signal(process.handle, number);  // one that has ended needs none
    }
  }
}

void Stopper::tell_watchdog(char command) const {
  if (write(watchdog_, &command, 1) != 1) {
    throw can_not("the watchdog does not listen");
  }
}

bool Stopper::stop_all_but(pid_t runs) {
  tell_watchdog(kStopping);
  stopped_ = true;
  signal_all(SIGSTOP, runs);
  for (int i = 0; i < 500; ++i) {
    bool all = true;
    for (const Stoppable& process : processes_) {
      all = all && (process.pid == runs || stands_still(process.pid));
    }
    if (all) {
      return true;
    }
    const timespec millisecond{0, 1000000};
    nanosleep(&millisecond, nullptr);
  }
  go_on();
  return false;
}

void Stopper::go_on() {
  if (stopped_) {
    signal_all(SIGCONT, 0);
    stopped_ = false;
    tell_watchdog(kGoingOn);
  }
}

}  // namespace forktail::doctor
