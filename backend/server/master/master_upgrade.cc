// The master's part in an upgrade of the binary, on both sides: the one that is replaced, and its
// successor.
#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "server/master/master.h"
#include "server/shared/describe.h"

namespace forktail::server {

using log::EventKind;

// As succession.h has it. What goes wrong until the successor serves costs nothing but a report.
std::string Master::begin_upgrade() {
  if (stopping_) {
    return "the server is stopping";
  }
  if (upgrade_) {
    return "an upgrade is under way";
  }
  if (replaced_ || succession_.pending()) {
    return "two masters are there already: one of them is about to leave";
  }
  if (changing()) {
    return "a reload is under way; upgrade when it is over";
  }
  try {
    Estate estate;
    estate.generation = last_number_;
    for (const Listener& listener : listeners_) {
      estate.listeners.push_back({listener.descriptor.get(), listener.ours});
    }
    for (const auto& endpoint : endpoints_) {
      estate.endpoints.push_back(
          {endpoint->listener().descriptor.get(), endpoint->listener().ours});
    }
    pidfile_.set_aside();
    upgrade_.emplace(program_, std::move(estate), options_.upgrade_timeout, options_.reload_mercy);
    sink_->write(EventKind::upgrade, {},
                 fmt::format("upgrading: {} starts with pid {}", program_.arguments.front(),
                             upgrade_->pid()),
                 {{"of_pid", std::int64_t{upgrade_->pid()}}});
    notifier_.status("upgrading");
    return {};
  } catch (const std::exception& error) {
    pidfile_.put_back();
    return error.what();
  }
}

void Master::attend_upgrade() {
  if (!upgrade_) {
    return;
  }
  if (upgrade_->read_messages()) {
    hand_over();
  } else {
    upgrade_->act_on_deadlines();
  }
}

void Master::hand_over() {
  const pid_t successor = upgrade_->pid();
  sink_->write(EventKind::upgraded, {},
               fmt::format("the master with pid {} serves; this one leaves", successor),
               {{"of_pid", std::int64_t{successor}}});
  upgrade_outcome_ = fmt::format("ok the master with pid {} serves", successor);
  notifier_.hand_over(successor);
  for (Listener& listener : listeners_) {
    listener.ours = false;
  }
  for (const auto& endpoint : endpoints_) {
    endpoint->hand_over();
  }
  replaced_ = true;
  workers_wanted_ = true;  // so that the end of the last worker ends the master
  for (const auto& generation : generations_) {
    generation->leave(false);
  }
  upgrade_.reset();  // which tells the successor
}

// The pidfile goes back in its place when the successor, whose it was, is no more.
void Master::on_upgrade_failed(const std::string& how) {
  upgrade_->read_messages();  // why, if it said so
  const std::string why = upgrade_->failure(how);
  upgrade_.reset();
  pidfile_.put_back();
  upgrade_outcome_ = fmt::format("failed {}", why);
  const std::string status =
      fmt::format("the upgrade has failed, pid {} goes on: {}", getpid(), why);
  sink_->write(EventKind::upgrade_failed, {}, status, {{"reason", why}});
  notifier_.status(status);
}

void Master::attend_succession() {
  bool ended = false;
  while (succession_.pending() && !ended) {
    succession_.predecessor.receive(ended);
    if (ended) {
      succession_.predecessor.close();
      take_charge();
    } else if (errno == EAGAIN) {
      return;
    }
  }
}

// The predecessor leaves, or has died; either way nobody else cleans up behind this server.
void Master::take_charge() {
  sink_->write(EventKind::in_charge, {}, "in charge");
  const auto inherit = [this](Listener& listener) {
    listener.ours |= std::find(succession_.to_own.begin(), succession_.to_own.end(),
                               listener.descriptor.get()) != succession_.to_own.end();
  };
  std::for_each(listeners_.begin(), listeners_.end(), inherit);
  for (const auto& endpoint : endpoints_) {
    inherit(endpoint->listener());
  }
  // What is left is no longer configured.
  std::for_each(succession_.endpoints.begin(), succession_.endpoints.end(), inherit);
  succession_.endpoints.clear();
  notifier_.take_over();
  if (current_ != nullptr) {
    notifier_.ready(serving_status());
  }
}

}  // namespace forktail::server
