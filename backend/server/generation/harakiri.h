// Which requests take too long (`harakiri`), by a look at a generation's slots at a regular pace.
//
// Belongs to the master's loop. It only looks and says; the generation acts.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/generation/pace.h"
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

class Harakiri {
 public:
  using Clock = std::chrono::steady_clock;

  // Both must outlive it.
  Harakiri(const Options& options, const Slots& slots);

  // When to look again; nothing without the option.
  [[nodiscard]] std::optional<Clock::time_point> next() const { return pace_.next(); }
  bool due(Clock::time_point now) { return pace_.due(now); }

  // Of these workers. Each request is named once when it is overdue and once when its grace is
  // over.
  std::vector<Overdue> overdue(Clock::time_point now, const std::vector<int>& workers);

  // Until `now` time has passed that counts for no request.
  void postpone(Clock::time_point now, Clock::duration missed);

 private:
  [[nodiscard]] std::int64_t missed_since_ns(std::int64_t begin_ns) const;

  const Options& options_;
  const Slots& slots_;
  Pace pace_;
  std::map<std::pair<int, int>, std::int64_t> warned_;  // worker and thread: the request's begin
  std::map<std::pair<int, int>, std::int64_t> condemned_;
  struct Pause {
    std::int64_t until_ns;
    std::int64_t length_ns;
  };
  std::deque<Pause> pauses_;  // the latest
};

}  // namespace forktail::server
