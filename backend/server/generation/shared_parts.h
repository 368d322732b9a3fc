// What the processes of a generation have in common: slots, kept connections, gathered lines, the
// bell. The master makes it here and mends in it what a worker spoils; the processes see it as
// GenerationShare.
//
// Belongs to the generation, in the master's loop. Nothing waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "forktail/api.h"
#include "log/sink.h"
#include "server/dispatch/bell.h"
#include "server/dispatch/kept_connections.h"
#include "server/generation/pace.h"
#include "server/generation/workers.h"
#include "server/shared/log_groups.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

// How many workers a generation can have: room to scale to twice as many as it begins with. Each
// seat costs every process two descriptors.
int seats_for(const Options& options);

class SharedParts {
 public:
  using Clock = std::chrono::steady_clock;

  // What is referred to must outlive it. Throws std::system_error.
  SharedParts(const Options& options, std::vector<int> listeners, KeptNumbers numbers,
              log::Sink& sink);

  [[nodiscard]] Slots& slots() FORKTAIL_LIFETIMEBOUND { return slots_; }
  [[nodiscard]] KeptConnections& kept_connections() FORKTAIL_LIFETIMEBOUND {
    return kept_connections_;
  }
  [[nodiscard]] const KeptConnections& kept_connections() const FORKTAIL_LIFETIMEBOUND {
    return kept_connections_;
  }
  [[nodiscard]] const std::optional<LogGroups>& log_groups() const FORKTAIL_LIFETIMEBOUND {
    return log_groups_;
  }

  // What all workers are told, from now on, and again whenever one could have written over it. With
  // the first there are no new connections, and those that wait for a request are given back.
  void say_leaving(bool stopping);
  void say_reopen();
  void restore() const;
  // The worker that is replaced has its successor, or will have none: the next one's turn.
  void end_retirement(int worker) const;
  [[nodiscard]] std::uint32_t reopenings() const { return reopenings_; }  // that were asked for

  // Before a worker is forked, and after it has died. In between its connections are mended: by
  // thread, whether another worker goes on with the one that it had.
  void admit(int worker);
  std::vector<bool> recover(int worker);
  void dismiss(int worker) { kept_connections_.dismiss(worker); }

  // From a generation without workers: what they had not read when they died.
  void take_over(SharedParts& other) {
    kept_connections_.take_over(other.kept_connections_,
                                std::chrono::steady_clock::now() + options_.keepalive_timeout);
  }

  [[nodiscard]] std::optional<Clock::time_point> next_deadline(const Workers& workers) const;
  void act_on_deadlines(const Workers& workers);

 private:
  const Options& options_;
  log::Sink& sink_;
  Slots slots_;
  std::optional<LogGroups> log_groups_;
  KeptConnections kept_connections_;
  Bell bell_{kept_connections_.share().epoll.get()};
  Pace group_pace_;  // of looking for gathered lines that have waited
  bool leaving_ = false;
  bool stopping_ = false;  // and the whole server with it
  std::uint32_t reopenings_ = 0;
};

}  // namespace forktail::server
