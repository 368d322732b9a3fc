#include "server/generation/shared_parts.h"

#include <utility>

#include "server/os/earliest.h"

namespace forktail::server {

namespace {

// Lines that have waited for a second are to be seen soon.
constexpr std::chrono::milliseconds kGroupPace{250};

}  // namespace

int seats_for(const Options& options) { return options.processes * 2 + 8; }

SharedParts::SharedParts(const Options& options, std::vector<int> listeners, KeptNumbers numbers,
                         log::Sink& sink)
    : options_(options),
      sink_(sink),
      slots_(seats_for(options), options.threads),
      kept_connections_(std::move(listeners), numbers, seats_for(options), sink),
      group_pace_(options.log_groups ? kGroupPace : std::chrono::milliseconds(0)) {
  if (options.log_groups) {
    log_groups_.emplace(slots_.seats(), slots_.threads());
  }
}

void SharedParts::say_leaving(bool stopping) {
  leaving_ = true;
  stopping_ = stopping_ || stopping;
  restore();
  kept_connections_.stop_accepting();
  kept_connections_.give_back_idle();
}

void SharedParts::say_reopen() {
  ++reopenings_;
  restore();
}

void SharedParts::restore() const { slots_.restore_board(leaving_, stopping_, reopenings_); }

void SharedParts::end_retirement(int worker) const {
  if (slots_.board().retiring == worker) {
    slots_.board().retiring = 0;
  }
}

void SharedParts::admit(int worker) {
  for (int thread = 0; thread < slots_.threads(); ++thread) {
    slots_.slot(worker, thread).clear();
  }
  if (log_groups_) {
    log_groups_->clear(worker);
  }
  kept_connections_.admit(worker);
  restore();
  slots_.seat(worker).orders = 0;
  slots_.seat(worker).reopened = reopenings_;
}

std::vector<bool> SharedParts::recover(int worker) {
  std::vector<bool> resumed =
      kept_connections_.resume(worker, slots_.threads(), Clock::now() + options_.keepalive_timeout,
                               [&](int thread, bool waiting) {
                                 return slots_.slot(worker, thread).between_requests(waiting);
                               });
  if (log_groups_) {
    sink_.write_gathered(log_groups_->of(worker), true);
  }
  return resumed;
}

std::optional<SharedParts::Clock::time_point> SharedParts::next_deadline(
    const Workers& workers) const {
  return earliest({kept_connections_.next_deadline(), group_pace_.next(),
                   bell_.next_deadline(Clock::now(), workers.any_sleeps_through_orders())});
}

void SharedParts::act_on_deadlines(const Workers& workers) {
  restore();
  kept_connections_.act_on_deadlines();
  bell_.attend(Clock::now(), workers.any_sleeps_through_orders());
  if (group_pace_.due(Clock::now())) {
    for (const auto& [worker, process] : workers.all()) {
      sink_.write_gathered(log_groups_->of(worker), false);
    }
  }
}

}  // namespace forktail::server
