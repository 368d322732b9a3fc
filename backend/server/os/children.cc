#include "server/os/children.h"

#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace forktail::server {

void reap_children(const std::function<void(pid_t pid, int status)>& on_ended) {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (WIFSTOPPED(status)) {
      ptrace(PTRACE_DETACH, pid, nullptr, WSTOPSIG(status));
    } else {
      on_ended(pid, status);
    }
  }
}

namespace {

std::string title_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
  std::string title;
  std::getline(file, title, '\0');
  return title;
}

}  // namespace

std::vector<pid_t> children_titled(const std::function<bool(const std::string& title)>& is_one) {
  std::vector<pid_t> found;
  struct stat own {};
  if (stat("/proc/self/exe", &own) != 0) {
    return found;
  }
  std::ifstream children("/proc/self/task/" + std::to_string(gettid()) + "/children");
  for (pid_t pid = 0; children >> pid;) {
    struct stat other {};  // there is none of one that has ended
    if (stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &other) == 0 &&
        other.st_dev == own.st_dev && other.st_ino == own.st_ino && is_one(title_of(pid))) {
      found.push_back(pid);
    }
  }
  return found;
}

}  // namespace forktail::server
