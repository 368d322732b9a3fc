#include "doctor/limited.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace forktail::doctor {

int run_limited(const Limited& limited, std::chrono::milliseconds limit) {
  std::fflush(nullptr);  // what is in a buffer now would be written twice
  const pid_t parent = getpid();
  const pid_t worker = fork();
  if (worker < 0) {
    throw std::system_error(errno, std::generic_category(), "fork");
  }
  if (worker == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(2);  // the parent has ended before it could be heard of
    }
    const int code = limited.work();
    std::fflush(nullptr);
    _exit(code);
  }
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, worker, 0));
  pollfd ended{handle, POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + limit;
  int events = 0;
  do {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    events = poll(&ended, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
  } while (events < 0 && errno == EINTR);
  close(handle);
  if (events == 0) {
    kill(worker, SIGKILL);  // and not waited for: the kernel may hold it where no signal arrives
    return limited.late();
  }
  int status = 0;
  waitpid(worker, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : limited.crashed(WTERMSIG(status));
}

}  // namespace forktail::doctor
