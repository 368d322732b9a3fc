#include "server/os/memory_probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace forktail::server {

namespace {

// One is one write(2) to the pipe, and shorter than PIPE_BUF: it is there whole or not at all.
struct Result {
  pid_t pid;
  ProcessMemory memory;
};

[[noreturn]] void measure(const std::vector<pid_t>& pids, int results) noexcept {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close_all_but(std::array{results});
  for (const pid_t pid : pids) {
    const Result result{pid, process_memory(pid)};
    if (write(results, &result, sizeof(result)) != sizeof(result)) {
      break;
    }
  }
  _exit(0);
}

}  // namespace

MemoryProbe::MemoryProbe(const std::vector<pid_t>& pids) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
  }
  results_ = Descriptor(ends[0]);
  const Descriptor theirs(ends[1]);
  fcntl(results_.get(), F_SETFL, O_NONBLOCK);
  pid_ = fork();
  if (pid_ < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot fork");
  }
  if (pid_ == 0) {
    measure(pids, theirs.get());
  }
}

MemoryProbe::~MemoryProbe() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);  // whoever reaps takes it: it may be in the kernel for a while
  }
}

bool MemoryProbe::read() {
  for (;;) {
    Result result{};
    const ssize_t size = ::read(results_.get(), &result, sizeof(result));
    if (size == sizeof(result)) {
      found_[result.pid] = result.memory;
    } else if (size >= 0 || (errno != EAGAIN && errno != EINTR)) {
      return true;
    } else if (errno == EAGAIN) {
      return false;
    }
  }
}

}  // namespace forktail::server
