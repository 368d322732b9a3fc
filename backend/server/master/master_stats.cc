// The master's answers that tell how much memory the workers have: they come when that has been
// measured, in a process of its own.
#include <exception>
#include <string>
#include <utility>

#include "server/master/master.h"

namespace forktail::server {

void Master::answer_with_stats(std::size_t endpoint, int client, StatsText text) {
  stats_askers_.push_back({endpoint, client, std::move(text)});
  if (memory_probe_) {
    return;  // what it finds is new enough
  }
  std::vector<pid_t> pids;
  for (const auto& generation : generations_) {
    generation->add_pids(pids);
  }
  try {
    memory_probe_.emplace(pids);
    memory_probe_until_ = Generation::Clock::now() + std::chrono::seconds(5);
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    sink_->write(log::EventKind::not_measured, {},
                 "the memory of the workers can not be measured: " + reason, {{"reason", reason}});
    answer_stats_askers();
  }
}

void Master::attend_memory_probe() {
  if (!memory_probe_) {
    return;
  }
  if (memory_probe_->read() || memory_probe_until_ <= Generation::Clock::now()) {
    memory_ = memory_probe_->found();
    memory_probe_.reset();
    answer_stats_askers();
  }
}

void Master::answer_stats_askers() {
  const Stats now = stats();
  for (const StatsAsker& asker : std::exchange(stats_askers_, {})) {
    endpoints_[asker.endpoint]->answer(asker.client, asker.text(now));
  }
}

}  // namespace forktail::server
