#include "server/os/children.h"

#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace forktail::server {

pid_t ended_child(int& status) {
  for (;;) {
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) {
      return 0;
    }
    if (!WIFSTOPPED(status)) {
      return pid;
    }
    ptrace(PTRACE_DETACH, pid, nullptr, WSTOPSIG(status));
  }
}

std::vector<pid_t> forked_children() {
  std::vector<pid_t> found;
  struct stat own {};
  if (stat("/proc/self/exe", &own) != 0) {
    return found;
  }
  std::ifstream children("/proc/self/task/" + std::to_string(gettid()) + "/children");
  for (pid_t pid = 0; children >> pid;) {
    struct stat other {};  // there is none of one that has ended
    if (stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &other) == 0 &&
        other.st_dev == own.st_dev && other.st_ino == own.st_ino) {
      found.push_back(pid);
    }
  }
  return found;
}

}  // namespace forktail::server
