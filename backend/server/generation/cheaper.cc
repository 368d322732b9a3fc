#include "server/generation/cheaper.h"

#include <algorithm>

namespace forktail::server {

Cheaper::Cheaper(const Options& options, const Slots& slots)
    : options_(options), slots_(slots), pace_(std::chrono::seconds(options.cheaper > 0 ? 1 : 0)) {}

int Cheaper::busy_workers(int active) const {
  int busy = 0;
  for (int worker = 1; worker <= active; ++worker) {
    for (int thread = 0; thread < slots_.threads(); ++thread) {
      if (slots_.slot(worker, thread).state() != SlotState::idle) {
        ++busy;
        break;
      }
    }
  }
  return busy;
}

// Up as soon as all are busy or somebody waits, and faster the more wait; down by one when one
// could have been spared for a while.
int Cheaper::workers_for_load(int active, int queued) {
  constexpr int kCalm = 10;
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
