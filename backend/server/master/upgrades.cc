#include "server/master/upgrades.h"

#include <fmt/format.h>
#include <unistd.h>

#include <exception>
#include <fstream>
#include <utility>

#include "server/master/attention.h"
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

Upgrades::Upgrades(const Program& program, ServerFiles& files, const TlsQueue& tls_queue,
                   SystemdNotify& systemd, log::Sink& sink)
    : program_(program), files_(files), tls_queue_(tls_queue), systemd_(systemd), sink_(sink) {}

std::string Upgrades::begin(int generation, const Options& options) {
  if (ends_the_container()) {
    return "this is the first process of a container, which ends with it, whoever else serves: "
           "start a container of the new image, then stop this one";
  }
  try {
    UpgradeDescription description;
    description.generation = generation;
    if (!ledger_) {
      ledger_.emplace();
    }
    description.ledger = ledger_->memfd();
    files_.lend(description);
    description.tls_queue_in = tls_queue_.writing.get();
    description.tls_queue_out = tls_queue_.reading.get();
    if (options.tls) {
      description.tls_files = options.tls->descriptor();
    }
    process_.emplace(program_, std::move(description), options.upgrade_timeout,
                     options.reload_mercy);
    return {};
  } catch (const std::exception& error) {
    files_.take_back();
    return error.what();
  }
}

void Upgrades::give_up(const std::string& why) {
  if (process_) {
    process_->give_up(why);
  }
}

std::function<void()> Upgrades::fork_due() {
  if (!process_ || !process_->due()) {
    return nullptr;
  }
  if (process_->start()) {
    return [this] { process_->become_new_master(); };
  }
  if (process_->could_not_start()) {
    on_failed("");
    return nullptr;
  }
  sink_.write(
      EventKind::upgrade, {},
      fmt::format("upgrading: {} starts with pid {}", program_.arguments.front(), process_->pid()),
      {{"of_pid", std::int64_t{process_->pid()}}});
  systemd_.status("upgrading");
  return nullptr;
}

void Upgrades::watch(std::vector<pollfd>& watched) const {
  if (process_) {
    process_->watch(watched);
  }
}

std::optional<Upgrades::Clock::time_point> Upgrades::next_deadline() const {
  return process_ ? process_->next_deadline() : std::nullopt;
}

bool Upgrades::attend() {
  if (!process_ || process_->due()) {
    return false;
  }
  if (process_->read_messages()) {
    return true;
  }
  process_->act_on_deadlines();
  return false;
}

bool Upgrades::reap(pid_t pid, int status) {
  if (!process_ || pid != process_->pid()) {
    return false;
  }
  on_failed(how_it_ended(status));
  return true;
}

void Upgrades::postpone(Clock::duration missed) {
  if (process_) {
    process_->postpone(missed);
  }
}

void Upgrades::hand_over() {
  new_master_ = process_->pid();
  sink_.write(EventKind::upgraded, {},
              fmt::format("the master with pid {} serves; this one leaves", new_master_),
              {{"of_pid", std::int64_t{new_master_}}});
  outcome_ = fmt::format("ok the master with pid {} serves", new_master_);
  systemd_.main_process_is(new_master_);
  files_.hand_over();
}

// The pidfile goes back in its place when the new master, whose it was, is no more.
void Upgrades::on_failed(const std::string& how) {
  process_->read_messages();  // why, if it said so
  const std::string why = process_->failure(how);
  process_.reset();
  files_.take_back();
  outcome_ = fmt::format("failed {}", why);
  const std::string status =
      fmt::format("the upgrade has failed, pid {} goes on: {}", getpid(), why);
  sink_.write(EventKind::upgrade_failed, {}, status, {{"reason", why}});
  systemd_.status(status);
}

}  // namespace forktail::server
