// A generation's part in a refork: the old one gives a worker away, the new one has it as template.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "server/child/promotion.h"
#include "server/generation/generation.h"
#include "server/shared/describe.h"

namespace forktail::server {

// The warmest, by what it has served itself.
std::string Generation::begin_promotion() {
  if (options_.fork_mode != ForkMode::preload) {
    return fmt::format(
        "refork needs fork-mode = preload: in {} mode the workers share nothing that a template "
        "could hand on",
        to_string(options_.fork_mode));
  }
  std::optional<int> best;
  std::uint64_t most = 0;
  for (const auto& [id, child] : workers_) {
    const std::uint64_t served = counters_of(id).requests - child.requests_before;
    if (child.ready && !child.leaving && (!best || served > most)) {
      best = id;
      most = served;
    }
  }
  if (!best) {
    return "no worker is ready";
  }
  std::pair<Channel, Channel> ends = Channel::make();
  Child& child = workers_.at(*best);
  if (!child.channel.send({MessageType::promote, *best, {}, ends.second.release()})) {
    return fmt::format("worker {} does not listen", *best);
  }
  const pid_t pid = slots_.seat(*best - 1).pid;
  sink_.write(
      log::EventKind::refork, {},
      fmt::format("{}, which has served {} requests, becomes the next generation's template",
                  describe(*best, pid), most),
      {{"of_worker", std::int64_t{*best}},
       {"of_pid", std::int64_t{pid}},
       {"requests", static_cast<std::int64_t>(most)}});
  promoting_ = *best;
  promotion_ = {0, std::move(ends.first), {}};
  send_away(*best, child, options_.worker_reload_mercy);
  return {};
}

std::optional<Promotion> Generation::take_promotion() {
  if (!promotion_ || (promotion_->pid == 0 && promotion_->failure.empty())) {
    return std::nullopt;
  }
  return std::exchange(promotion_, std::nullopt);
}

// From here on it is no worker, and its place is filled as any other's.
void Generation::on_promoted(int id) {
  promotion_->pid = slots_.seat(id - 1).pid;
  promoting_ = 0;
  slots_.seat(id - 1).pid = 0;
  workers_.erase(id);
  keeper_.dismiss(id);
  absent_[id] = Clock::now();
  start_missing_workers();
}

void Generation::on_promotion_failed(const std::string& why) {
  promoting_ = 0;
  promotion_->failure = why;
}

void Generation::adopt_template(const Promotion& promotion) {
  std::pair<Channel, Channel> ends = Channel::make();
  const Household household{getpid(),
                            number_,
                            options_,
                            slots_,
                            keeper_.share(),
                            sink_,
                            log_groups_ ? &*log_groups_ : nullptr};
  template_pid_ = promotion.pid;
  template_ = std::move(ends.first);
  template_loaded_ = false;
  template_started_ = Clock::now();
  if (!bequeath(promotion.heritage, household, ends.second)) {
    fail("the promoted worker can not be reached: " + std::generic_category().message(errno));
  }
}

}  // namespace forktail::server
