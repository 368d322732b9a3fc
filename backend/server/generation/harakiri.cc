#include "server/generation/harakiri.h"

#include <algorithm>

#include "server/os/limits.h"

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

// A tenth late at most, and never in the loop's way.
milliseconds pace_for(milliseconds harakiri) {
  return harakiri.count() == 0 ? harakiri
                               : std::clamp(harakiri / 10, milliseconds(20), milliseconds(1000));
}

}  // namespace

Harakiri::Harakiri(const Options& options, const Slots& slots)
    : options_(options), slots_(slots), pace_(pace_for(options.harakiri)) {}

void Harakiri::postpone(Clock::time_point now, Clock::duration missed) {
  pauses_.push_back(
      {now.time_since_epoch() / std::chrono::nanoseconds(1), missed / std::chrono::nanoseconds(1)});
  if (pauses_.size() > limits::kMostPauses) {
    pauses_.pop_front();
  }
}

// How much of the time since then counts for nothing.
std::int64_t Harakiri::missed_since_ns(std::int64_t begin_ns) const {
  std::int64_t missed = 0;
  for (const Pause& pause : pauses_) {
    missed += std::clamp(pause.until_ns - std::max(begin_ns, std::int64_t{0}), std::int64_t{0},
                         pause.length_ns);
  }
  return missed;
}

std::vector<Overdue> Harakiri::overdue(Clock::time_point now, const std::vector<int>& workers) {
  std::vector<Overdue> found;
  if (options_.harakiri.count() == 0) {
    return found;
  }
  const std::int64_t now_ns = now.time_since_epoch() / std::chrono::nanoseconds(1);
  const std::int64_t limit = options_.harakiri / std::chrono::nanoseconds(1);
  const std::int64_t grace = options_.harakiri_grace / std::chrono::nanoseconds(1);
  for (const int worker : workers) {
    for (int thread = 0; thread < slots_.threads(); ++thread) {
      const std::pair place(worker, thread);
      SlotRequest request = slots_.snapshot(worker, thread);
      const std::int64_t age = request.age_ns(now_ns) - missed_since_ns(request.since_ns);
      if (request.state == SlotState::idle || age < limit) {
        continue;
      }
      const bool final = age >= limit + grace;
      auto& named = final ? condemned_ : warned_;
      if (std::exchange(named[place], request.since_ns) != request.since_ns) {
        found.push_back({worker, thread, std::move(request), final});
      }
    }
  }
  return found;
}

}  // namespace forktail::server
