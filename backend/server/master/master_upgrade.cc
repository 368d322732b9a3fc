// The master's part in an upgrade of the binary, on both sides: the old one, which is replaced, and
// the new one.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <string>

#include "server/master/master.h"
#include "server/shared/describe.h"
#include "server/shared/tls_files.h"

namespace forktail::server {

using log::EventKind;

namespace {

// The kernel ends all processes of a PID namespace with its first one, and the small inits of
// containers end with the child that they were told to run, which is this process.
bool ends_the_container() {
  if (getpid() == 1) {
    return true;
  }
  std::string name;
  std::getline(std::ifstream("/proc/1/comm"), name);
  return getppid() == 1 &&
         (name == "docker-init" || name == "tini" || name == "dumb-init" || name == "catatonit");
}

}  // namespace

// As upgrade_new.h has it. What goes wrong until the new master serves costs nothing but a report.
std::string Master::begin_upgrade() {
  if (stopping_) {
    return "the server is stopping";
  }
  if (upgrade_) {
    return "an upgrade is under way";
  }
  if (replaced_ || inherited_.pending()) {
    return "two masters are there already: one of them is about to leave";
  }
  if (changing()) {
    return "a reload is under way; upgrade when it is over";
  }
  if (ends_the_container()) {
    return "this is the first process of a container, which ends with it, whoever else serves: "
           "start "
           "a container of the new image, then stop this one";
  }
  try {
    UpgradeDescription description;
    description.generation = change_.last();
    if (!ledger_) {
      ledger_ = std::make_unique<Ledger>();
    }
    description.ledger = ledger_->memfd();
    const auto socket = [](const Listener& listener) {
      return UpgradeDescription::Socket{listener.descriptor.get(), listener.ours,
                                        listener.file_id.device, listener.file_id.inode};
    };
    for (const Listener& listener : listeners_) {
      description.listeners.push_back(socket(listener));
    }
    for (const auto& endpoint : control_.endpoints()) {
      description.endpoints.push_back(socket(endpoint->listener()));
    }
    description.log = sink_->descriptor();
    description.logto = at_start_.logto;
    description.log_maker = log_maker_.descriptor();
    pidfile_.set_aside();
    description.pidfile = pidfile_.shared();
    description.pidfile_path = pidfile_.path();
    description.tls_queue_in = tls_.queue().writing.get();
    description.tls_queue_out = tls_.queue().reading.get();
    if (options_.tls) {
      description.tls_files = options_.tls->descriptor();
    }
    upgrade_.emplace(program_, std::move(description), options_.upgrade_timeout,
                     options_.reload_mercy);
    return {};
  } catch (const std::exception& error) {
    pidfile_.put_back();
    return error.what();
  }
}

Master::Life Master::fork_new_master() {
  if (upgrade_->start()) {
    return [this] { upgrade_->become_new_master(); };
  }
  if (upgrade_->could_not_start()) {
    on_upgrade_failed("");
    return nullptr;
  }
  sink_->write(
      EventKind::upgrade, {},
      fmt::format("upgrading: {} starts with pid {}", program_.arguments.front(), upgrade_->pid()),
      {{"of_pid", std::int64_t{upgrade_->pid()}}});
  systemd_.status("upgrading");
  return nullptr;
}

void Master::attend_upgrade() {
  if (!upgrade_ || upgrade_->due()) {
    return;
  }
  if (upgrade_->read_messages()) {
    leave_to_new_master();
  } else {
    upgrade_->act_on_deadlines();
  }
}

void Master::leave_to_new_master() {
  const pid_t new_master = upgrade_->pid();
  sink_->write(EventKind::upgraded, {},
               fmt::format("the master with pid {} serves; this one leaves", new_master),
               {{"of_pid", std::int64_t{new_master}}});
  upgrade_outcome_ = fmt::format("ok the master with pid {} serves", new_master);
  systemd_.main_process_is(new_master);
  pidfile_.hand_over();
  for (Listener& listener : listeners_) {
    listener.ours = false;
  }
  for (const auto& endpoint : control_.endpoints()) {
    endpoint->disown();
  }
  replaced_ = true;
  ledger_->write(totals());
  workers_wanted_ = true;  // so that the end of the last worker ends the master
  for (const auto& generation : generations_) {
    generation->leave(false);
  }
  tls_.leave(false);
  upgrade_.reset();  // which tells the new master
}

// The pidfile goes back in its place when the new master, whose it was, is no more.
void Master::on_upgrade_failed(const std::string& how) {
  upgrade_->read_messages();  // why, if it said so
  const std::string why = upgrade_->failure(how);
  upgrade_.reset();
  pidfile_.put_back();
  upgrade_outcome_ = fmt::format("failed {}", why);
  const std::string status =
      fmt::format("the upgrade has failed, pid {} goes on: {}", getpid(), why);
  sink_->write(EventKind::upgrade_failed, {}, status, {{"reason", why}});
  systemd_.status(status);
}

void Master::attend_old_master() {
  bool ended = false;
  while (inherited_.pending() && !ended) {
    inherited_.old_master.receive(ended);
    if (ended) {
      inherited_.old_master.close();
      take_charge();
    } else if (errno == EAGAIN) {
      return;
    }
  }
}

// The old master leaves, or has died; either way nobody else cleans up behind this server.
void Master::take_charge() {
  sink_->write(EventKind::in_charge, {}, "in charge");
  const auto inherit = [this](Listener& listener) {
    listener.ours |= std::find(inherited_.to_own.begin(), inherited_.to_own.end(),
                               listener.descriptor.get()) != inherited_.to_own.end();
  };
  std::for_each(listeners_.begin(), listeners_.end(), inherit);
  for (const auto& endpoint : control_.endpoints()) {
    inherit(endpoint->listener());
  }
  // What is left is no longer configured.
  std::for_each(inherited_.endpoints.begin(), inherited_.endpoints.end(), inherit);
  inherited_.endpoints.clear();
  systemd_.take_over();
  if (current_ != nullptr) {
    systemd_.ready(serving_status());
  }
}

}  // namespace forktail::server
