#include "server/master/copies.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "server/os/children.h"

namespace forktail::server {

namespace {

// Only these run code of an application; another master, its log maker and a measuring of memory
// may be children of this process as well.
bool is_of_an_application(const std::string& title) {
  return title.find("forktail: worker ") != std::string::npos ||
         title.find("forktail: template") != std::string::npos;
}

}  // namespace

// Again and again: the children of one that ends become this process's.
void end_copies(log::Sink& sink) {
  constexpr int kMost = 200;
  constexpr std::chrono::milliseconds kPause{5};
  std::vector<pid_t> told;
  for (int i = 0; i < kMost; ++i) {
    const std::vector<pid_t> copies = children_titled(is_of_an_application);
    if (copies.empty()) {
      return;
    }
    for (const pid_t pid : copies) {
      if (std::ranges::find(told, pid) == told.end()) {
        told.push_back(pid);
        sink.write(log::EventKind::copy_killed, {},
                   fmt::format("killing pid {}: the application has forked it, and it has not "
                               "ended with the server",
                               pid),
                   {{"of_pid", std::int64_t{pid}}});
      }
      kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace forktail::server
