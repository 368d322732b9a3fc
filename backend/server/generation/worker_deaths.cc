#include "server/generation/worker_deaths.h"

#include <signal.h>

#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;

WorkerDeaths::Dead WorkerDeaths::bury(int worker, const std::string& how) {
  const Workers::Process& process = *workers_.find(worker);
  const bool expected = (process.leaving && how == how_it_ended(0)) ||
                        (process.ended && how == how_it_ended(SIGKILL));
  const auto now = Workers::Clock::now();
  const Dead dead{expected, process.ready, process.failed,
                  process.ready ? now - process.started : Workers::Clock::duration::zero()};
  const std::vector<bool> resumed = parts_.recover(worker);
  if (expected) {
    lines_.tell(EventKind::worker_left, worker,
                process.ended ? "{} ended with its generation, which could not start" : "{} left");
  } else {
    log_crash(worker, how, resumed);
  }
  workers_.remove(worker);
  parts_.dismiss(worker);
  return dead;
}

void WorkerDeaths::log_crash(int worker, const std::string& how, const std::vector<bool>& resumed) {
  ++workers_.history(worker).crashes;
  lines_.tell_died(worker, how);
  workers_.history(worker).lost += lines_.tell_lost(worker, how, resumed);
  sink_.mend_after_kill();
}

}  // namespace forktail::server
