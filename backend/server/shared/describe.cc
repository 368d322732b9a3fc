#include "server/shared/describe.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstring>

namespace forktail::server {

std::string describe(int worker, pid_t pid) {
  return fmt::format("worker {} (pid {})", worker, pid);
}

std::string describe(const SlotRequest& request, std::int64_t now_ns) {
  const auto age_ms = request.age_ns(now_ns) / 1'000'000;
  if (request.method.empty()) {
    return fmt::format("{} a request ({} ms)", to_string(request.state), age_ms);
  }
  return fmt::format("{} {} {} ({} ms)", to_string(request.state), request.method, request.path,
                     age_ms);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return fmt::format("killed by {}{}", name == nullptr ? "signal " : "SIG",
                       name == nullptr ? std::to_string(WTERMSIG(status)) : name);
  }
  return fmt::format("ended with exit status {}", WEXITSTATUS(status));
}

}  // namespace forktail::server
