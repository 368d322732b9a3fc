// Looks at a generation's slots at a regular pace, when an option wants that: which requests take
// too long (harakiri), and how many workers the load calls for (cheaper). The same pace is that of
// gathered log lines.
//
// Belongs to the master's loop. It only looks and says; the generation acts.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

// A request that has had its time.
struct Overdue {
  int worker;
  int thread;
  SlotRequest request;
  bool final;  // its grace is over as well
};

class Overseer {
 public:
  using Clock = std::chrono::steady_clock;

  Overseer(const Options& options, const Slots& slots);

  // When to look again; nothing when no option needs it.
  [[nodiscard]] std::optional<Clock::time_point> next() const { return next_; }

  // Each request is named once when it is overdue and once when its grace is over.
  std::vector<Overdue> overdue(Clock::time_point now);

  // Whether it is time to ask workers_for_load(), which is asked once a second.
  [[nodiscard]] bool scaling_due(Clock::time_point now) const;

  // How many workers there should be, of `active` now, with `queued` connections waiting in the
  // listen queues.
  int workers_for_load(int active, int queued);

  void looked(Clock::time_point now);

 private:
  [[nodiscard]] int busy_workers(int active) const;

  const Options& options_;
  const Slots& slots_;
  std::chrono::milliseconds pace_{};
  std::optional<Clock::time_point> next_;
  std::map<std::pair<int, int>, std::int64_t> warned_;  // worker and thread: the request's begin
  std::map<std::pair<int, int>, std::int64_t> condemned_;
  Clock::time_point scale_at_{};
  int calm_looks_ = 0;
};

}  // namespace forktail::server
