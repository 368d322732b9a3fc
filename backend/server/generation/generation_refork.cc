// A generation's part in a refork: the old one gives a worker away, the new one has it as template.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "server/child/refork.h"
#include "server/generation/generation.h"
#include "server/shared/describe.h"

namespace forktail::server {

// The warmest, by what it has served itself.
std::string Generation::begin_refork() {
  if (options_.fork_mode != ForkMode::preload) {
    return fmt::format(
        "refork needs fork-mode = preload: in {} mode the workers share nothing that a template "
        "could hand on",
        to_string(options_.fork_mode));
  }
  std::optional<int> best;
  std::uint64_t most = 0;
  for (const auto& [worker, child] : workers_) {
    const std::uint64_t served = counters_of(worker).requests - child.requests_before;
    if (child.ready && !child.leaving && (!best || served > most)) {
      best = worker;
      most = served;
    }
  }
  if (!best) {
    return "no worker is ready";
  }
  std::pair<Channel, Channel> ends = Channel::make();
  Child& child = workers_.at(*best);
  if (!child.channel.send({MessageType::refork, *best, {}, ends.second.release()})) {
    return fmt::format("worker {} does not listen", *best);
  }
  const pid_t pid = slots_.seat(*best).pid;
  sink_.write(
      log::EventKind::refork, {},
      fmt::format("{}, which has served {} requests, becomes the next generation's template",
                  describe(*best, pid), most),
      {{"of_worker", std::int64_t{*best}},
       {"of_pid", std::int64_t{pid}},
       {"requests", static_cast<std::int64_t>(most)}});
  reforking_ = *best;
  refork_ = {0, std::move(ends.first), {}};
  send_away(*best, child, options_.worker_reload_mercy);
  return {};
}

std::optional<Refork> Generation::take_refork() {
  if (!refork_ || (refork_->pid == 0 && refork_->failure.empty())) {
    return std::nullopt;
  }
  return std::exchange(refork_, std::nullopt);
}

// From here on it is no worker, and its place is filled as any other's.
void Generation::on_reforked(int worker) {
  refork_->pid = slots_.seat(worker).pid;
  reforking_ = 0;
  slots_.seat(worker).pid = 0;
  workers_.erase(worker);
  kept_connections_.dismiss(worker);
  absent_[worker] = Clock::now();
  start_missing_workers();
}

void Generation::on_refork_failed(const std::string& why) {
  reforking_ = 0;
  refork_->failure = why;
}

void Generation::adopt_template(const Refork& refork) {
  std::pair<Channel, Channel> ends = Channel::make();
  template_pid_ = refork.pid;
  template_ = std::move(ends.first);
  template_loaded_ = false;
  template_started_ = Clock::now();
  if (!send_share(refork.orders, share(), ends.second)) {
    fail("the worker that is to be the template can not be reached: " +
         std::generic_category().message(errno));
  }
}

}  // namespace forktail::server
