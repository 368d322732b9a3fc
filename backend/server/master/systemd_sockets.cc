#include "server/master/systemd_sockets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>

#include "server/os/environment.h"

namespace forktail::server {

namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

// How many of them are this very process's; 0 when they were meant for one that it descends from.
int handed_over() {
  const auto number = [](const char* name) {
    const char* value = getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return whole_number(value == nullptr ? "" : value).value_or(0);
  };
  return number("LISTEN_PID") == getpid()
             ? static_cast<int>(std::clamp<std::int64_t>(number("LISTEN_FDS"), 0, 1000))
             : 0;
}

int option_of(int descriptor, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  getsockopt(descriptor, SOL_SOCKET, option, &value, &size);
  return value;
}

Listener take(int descriptor, const std::string& name) {
  if (option_of(descriptor, SO_TYPE) != SOCK_STREAM || option_of(descriptor, SO_ACCEPTCONN) != 1) {
    throw std::runtime_error(
        fmt::format("descriptor {}{}, handed over by LISTEN_FDS, is no listening stream socket; "
                    "use ListenStream= and Accept=no",
                    descriptor, name.empty() ? "" : " (" + name + ")"));
  }
  return adopt_listener(descriptor);
}

}  // namespace

bool sockets_are_handed_over() {
  // By a master that upgrades itself, if not by systemd.
  return handed_over() > 0 ||
         getenv("FORKTAIL_UPGRADE") != nullptr;  // NOLINT(concurrency-mt-unsafe)
}

std::vector<Listener> take_handed_over_sockets() {
  const int count = handed_over();
  take_variable("LISTEN_PID");
  take_variable("LISTEN_FDS");
  std::istringstream names(take_variable("LISTEN_FDNAMES"));
  std::vector<Listener> sockets;
  for (int descriptor = kFirst; descriptor < kFirst + count; ++descriptor) {
    std::string name;
    std::getline(names, name, ':');
    sockets.push_back(take(descriptor, name));
  }
  return sockets;
}

}  // namespace forktail::server
