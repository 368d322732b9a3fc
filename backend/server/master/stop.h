// The stop of the server: who is told to leave, and in which order, from the first order to the
// last process.
//
// Belongs to the master's loop. Nothing waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "log/sink.h"
#include "server/generation/generations.h"
#include "server/generation/tls_front.h"
#include "server/master/server_files.h"
#include "server/master/systemd_notify.h"

namespace forktail::server {

class Stop {
 public:
  using Clock = std::chrono::steady_clock;

  // All must outlive it.
  Stop(Generations& generations, TlsFront& tls, ServerFiles& files, SystemdNotify& systemd,
       log::Sink& sink)
      : generations_(generations), tls_(tls), files_(files), systemd_(systemd), sink_(sink) {}

  [[nodiscard]] bool begun() const { return begun_at_.has_value(); }
  // timeout(1), for one, sends its signal to the master and to the whole group: one stop.
  [[nodiscard]] bool just_begun() const {
    return begun_at_ && Clock::now() < *begun_at_ + std::chrono::seconds(1);
  }

  // `lost`: the requests that have been so far. Who has not left yet when it is `at_once` is
  // killed.
  void begin(bool at_once, std::uint64_t lost);
  // The TLS processes, of a server that serves, too.
  void attend();
  // attend() is to be called again and again: workers empty the queue unasked.
  [[nodiscard]] bool looks() const { return leave_at_.has_value(); }

  // After the last process: removes the server's files. What did not end as it should have; empty
  // when all did.
  std::string finish(std::uint64_t lost);

 private:
  Generations& generations_;
  TlsFront& tls_;
  ServerFiles& files_;
  SystemdNotify& systemd_;
  log::Sink& sink_;
  std::optional<Clock::time_point> begun_at_;
  // When the generations leave, at the latest: what is on its way over TLS comes first.
  std::optional<Clock::time_point> leave_at_;
  std::uint64_t lost_before_ = 0;
};

}  // namespace forktail::server
