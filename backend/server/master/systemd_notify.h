// What systemd is told of the server's state (sd_notify(3)), and its watchdog.
//
// Belongs to the master's loop. The protocol is one datagram to the socket that NOTIFY_SOCKET
// names; libsystemd would be one more library in every image for these few lines. Without
// NOTIFY_SOCKET nothing is sent. Nothing waits: what can not be sent is lost, and the first loss is
// logged.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "log/sink.h"
#include "server/os/descriptor.h"

namespace forktail::server {

class SystemdNotify {
 public:
  using Clock = std::chrono::steady_clock;

  // Tells nobody.
  SystemdNotify() = default;
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment: they
  // are not meant for what this process starts.
  static SystemdNotify from_environment(log::Sink& sink);

  // Workers accept requests. Also the end of a reload, whatever came of it.
  void ready(std::string_view status);
  void reloading(std::string_view status);
  void stopping();
  void status(std::string_view status);

  // For an upgrade: the main process is now the other one, and this one tells nothing any more; and
  // its counterpart, which tells nothing before take_over(), because systemd would not listen.
  void main_process_is(pid_t new_master);
  void wait() { silent_ = true; }
  void take_over() { silent_ = false; }

  // When the watchdog is to hear of the loop, and telling it if it is time.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const {
    return silent_ ? std::nullopt : next_;
  }
  void act_on_deadlines();

 private:
  void send(const std::string& state);

  log::Sink* sink_ = nullptr;
  std::string socket_;
  Descriptor descriptor_;
  bool complained_ = false;
  bool silent_ = false;
  std::chrono::microseconds watchdog_{0};  // half of what systemd waits for; 0: nobody watches
  std::optional<Clock::time_point> next_;
};

}  // namespace forktail::server
