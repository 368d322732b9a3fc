#include "server/generation/refork_giver.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "server/shared/describe.h"

namespace forktail::server {

// The warmest, by what it has served itself.
std::string ReforkGiver::begin() {
  if (options_.fork_mode != ForkMode::preload) {
    return fmt::format(
        "refork needs fork-mode = preload: in {} mode the workers share nothing that a template "
        "could hand on",
        to_string(options_.fork_mode));
  }
  std::optional<int> best;
  std::uint64_t most = 0;
  for (const auto& [worker, process] : workers_.all()) {
    const std::uint64_t served = workers_.served(worker);
    if (process.ready && !process.leaving && (!best || served > most)) {
      best = worker;
      most = served;
    }
  }
  if (!best) {
    return "no worker is ready";
  }
  std::pair<Channel, Channel> ends;
  try {
    ends = Channel::make();
  } catch (const std::system_error& error) {
    return error.what();
  }
  const Workers::Process& process = *workers_.find(*best);
  if (!process.channel.send({MessageType::refork, *best, {}, ends.second.release()})) {
    return fmt::format("worker {} does not listen", *best);
  }
  sink_.write(
      log::EventKind::refork, {},
      fmt::format("{}, which has served {} requests, becomes the next generation's template",
                  describe(*best, process.pid), most),
      {{"of_worker", std::int64_t{*best}},
       {"of_pid", std::int64_t{process.pid}},
       {"requests", static_cast<std::int64_t>(most)}});
  worker_ = *best;
  refork_ = {0, std::move(ends.first), {}};
  workers_.send_away(*best, options_.worker_reload_mercy);
  return {};
}

std::optional<Refork> ReforkGiver::take() {
  if (!refork_ || (refork_->pid == 0 && refork_->failure.empty())) {
    return std::nullopt;
  }
  return std::exchange(refork_, std::nullopt);
}

void ReforkGiver::note_done(pid_t pid) {
  refork_->pid = pid;
  worker_ = 0;
}

void ReforkGiver::note_failed(const std::string& why) {
  refork_->failure = why;
  worker_ = 0;
}

void ReforkGiver::note_died(const std::string& how) {
  refork_ = Refork{0, {}, fmt::format("the worker that was to be the template was {}", how)};
}

}  // namespace forktail::server
