#include "server/generation/overseer.h"

#include <algorithm>

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kScalingPace{1000};
// Lines that have waited for a second are to be seen soon.
constexpr milliseconds kGroupPace{250};

}  // namespace

Overseer::Overseer(const Options& options, const Slots& slots) : options_(options), slots_(slots) {
  if (options_.harakiri.count() > 0) {
    pace_ = std::clamp(options_.harakiri / 10, milliseconds(20), milliseconds(1000));
  }
  if (options_.cheaper > 0) {
    pace_ = pace_.count() > 0 ? std::min(pace_, kScalingPace) : kScalingPace;
  }
  if (options_.log_groups) {
    pace_ = pace_.count() > 0 ? std::min(pace_, kGroupPace) : kGroupPace;
  }
  looked(Clock::now());
}

void Overseer::looked(Clock::time_point now) {
  if (pace_.count() > 0) {
    next_ = now + pace_;
  }
}

std::vector<Overdue> Overseer::overdue(Clock::time_point now) {
  std::vector<Overdue> found;
  if (options_.harakiri.count() == 0) {
    return found;
  }
  const std::int64_t now_ns = now.time_since_epoch() / std::chrono::nanoseconds(1);
  const std::int64_t limit = options_.harakiri / std::chrono::nanoseconds(1);
  const std::int64_t grace = options_.harakiri_grace / std::chrono::nanoseconds(1);
  for (int worker = 1; worker <= slots_.seats(); ++worker) {
    if (slots_.seat(worker - 1).pid == 0) {
      continue;
    }
    for (int thread = 0; thread < slots_.threads(); ++thread) {
      const std::pair place(worker, thread);
      SlotRequest request = slots_.slot(worker - 1, thread).snapshot();
      const std::int64_t age = now_ns - request.since_ns;
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

bool Overseer::scaling_due(Clock::time_point now) const {
  return options_.cheaper > 0 && scale_at_ <= now;
}

int Overseer::busy_workers(int active) const {
  int busy = 0;
  for (int worker = 1; worker <= active; ++worker) {
    for (int thread = 0; thread < slots_.threads(); ++thread) {
      if (slots_.slot(worker - 1, thread).state() != SlotState::idle) {
        ++busy;
        break;
      }
    }
  }
  return busy;
}

// Up as soon as all are busy or somebody waits, and faster the more wait; down by one when one
// could have been spared for a while.
int Overseer::workers_for_load(int active, int queued) {
  constexpr int kCalm = 10;
  scale_at_ = Clock::now() + kScalingPace;
  const int busy = busy_workers(active);
  if (queued > 0 || busy >= active) {
    calm_looks_ = 0;
    const int step = std::clamp(queued, 1, std::max(1, active));
    return std::max(active, std::min(active + step, options_.processes));
  }
  if (busy >= active - 1 || ++calm_looks_ < kCalm) {
    calm_looks_ = busy >= active - 1 ? 0 : calm_looks_;
    return active;
  }
  calm_looks_ = 0;
  return std::max(active - 1, options_.cheaper);
}

}  // namespace forktail::server
