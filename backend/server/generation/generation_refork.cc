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
  reforking_ = *best;
  refork_ = {0, std::move(ends.first), {}};
  workers_.send_away(*best, options_.worker_reload_mercy);
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
  refork_->pid = workers_.pid_of(worker);
  reforking_ = 0;
  workers_.remove(worker);
  kept_connections_.dismiss(worker);
  workers_.start_later(worker, std::chrono::milliseconds(0));
  start_missing_workers();
}

void Generation::on_refork_failed(const std::string& why) {
  reforking_ = 0;
  refork_->failure = why;
}

void Generation::adopt_template(const Refork& refork) {
  std::pair<Channel, Channel> ends = Channel::make();
  template_.adopt(refork.pid, std::move(ends.first));
  if (!send_share(refork.orders, share(), ends.second)) {
    fail("the worker that is to be the template can not be reached: " +
         std::generic_category().message(errno));
  }
}

}  // namespace forktail::server
