#include "server/master/systemd_notify.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "server/os/environment.h"

namespace forktail::server {

namespace {

// Each line of a message is an assignment of its own.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// With RELOADING=1, so that systemd knows which of several reloads the READY=1 is an answer to.
std::int64_t monotonic_usec() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

SystemdNotify SystemdNotify::from_environment(log::Sink& sink) {
  SystemdNotify systemd;
  systemd.sink_ = &sink;
  systemd.socket_ = take_variable("NOTIFY_SOCKET");
  const auto usec = whole_number(take_variable("WATCHDOG_USEC"));
  const std::string watched = take_variable("WATCHDOG_PID");
  if (!systemd.socket_.empty()) {
    systemd.descriptor_ = Descriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (usec.value_or(0) > 0 && (watched.empty() || whole_number(watched) == getpid())) {
      systemd.watchdog_ = std::chrono::microseconds(*usec / 2);
      systemd.next_ = Clock::now();
    }
  }
  return systemd;
}

void SystemdNotify::ready(std::string_view status) {
  send(fmt::format("READY=1\nSTATUS={}\n", one_line(status)));
}

void SystemdNotify::reloading(std::string_view status) {
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={}\n", monotonic_usec(),
                   one_line(status)));
}

void SystemdNotify::stopping() { send("STOPPING=1\nSTATUS=stopping\n"); }

void SystemdNotify::status(std::string_view status) {
  send(fmt::format("STATUS={}\n", one_line(status)));
}

void SystemdNotify::main_process_is(pid_t new_master) {
  send(fmt::format("MAINPID={}\n", new_master));
  silent_ = true;
}

void SystemdNotify::act_on_deadlines() {
  if (next_ && *next_ <= Clock::now()) {
    send("WATCHDOG=1\n");
    next_ = Clock::now() + watchdog_;
  }
}

void SystemdNotify::send(const std::string& state) {
  if (socket_.empty() || silent_) {
    return;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  int error = ENAMETOOLONG;
  if (socket_.size() < sizeof(address.sun_path)) {
    socket_.copy(address.sun_path, socket_.size());
    if (socket_.front() == '@') {
      address.sun_path[0] = '\0';
    }
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
    const ssize_t sent =
        sendto(descriptor_.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address), size);
    error = sent < 0 ? errno : 0;
  }
  if (error != 0 && !complained_) {
    complained_ = true;
    const std::string reason = std::generic_category().message(error);
    sink_->write(
        log::EventKind::notify_failed, {},
        fmt::format("systemd can not be told of the server's state at NOTIFY_SOCKET={}: {}",
                    socket_, reason),
        {{"socket", socket_}, {"reason", reason}});
  }
}

}  // namespace forktail::server
