// How many workers the load calls for (`cheaper`), by a look at a generation's slots once a second.
//
// Belongs to the master's loop. It only looks and says; the generation acts.
#pragma once

#include <chrono>
#include <optional>

#include "server/generation/pace.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

class Cheaper {
 public:
  using Clock = std::chrono::steady_clock;

  // Both must outlive it.
  Cheaper(const Options& options, const Slots& slots);

  // When to look again; nothing without the option.
  [[nodiscard]] std::optional<Clock::time_point> next() const { return pace_.next(); }
  bool due(Clock::time_point now) { return pace_.due(now); }

  // How many workers there should be, of `active` now, with `queued` connections waiting in the
  // listen queues.
  int workers_for_load(int active, int queued);

 private:
  [[nodiscard]] int busy_workers(int active) const;

  const Options& options_;
  const Slots& slots_;
  Pace pace_;
  int calm_looks_ = 0;
};

}  // namespace forktail::server
