// The upgrade of this master to another one: whether it may begin, whether one is under way, what
// has come of the last. What goes wrong until the new master serves costs nothing but a report.
//
// Belongs to the master's loop. Nothing waits. upgrade_old.h is the process that is started,
// upgrade_new.h how the same looks from there.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "log/sink.h"
#include "server/dispatch/tls_queue.h"
#include "server/master/ledger.h"
#include "server/master/server_files.h"
#include "server/master/systemd_notify.h"
#include "server/master/upgrade_old.h"
#include "server/os/program.h"
#include "server/shared/options.h"

namespace forktail::server {

class Upgrades {
 public:
  using Clock = std::chrono::steady_clock;

  // All must outlive it.
  Upgrades(const Program& program, ServerFiles& files, const TlsQueue& tls_queue,
           SystemdNotify& systemd, log::Sink& sink);

  [[nodiscard]] bool under_way() const { return process_.has_value(); }
  // The new master is in charge.
  [[nodiscard]] bool replaced() const { return new_master_ != 0; }
  [[nodiscard]] pid_t new_master() const { return new_master_; }  // 0: none is in charge
  // What has come of the last one; nothing while it is under way.
  [[nodiscard]] std::optional<std::string> outcome() const {
    return process_ ? std::nullopt : std::optional(outcome_);
  }

  // `generation` is the last one's number, `options` those of the one that serves. Returns why it
  // can not begin; empty when it has.
  std::string begin(int generation, const Options& options);
  // The new master is not to replace this one any more.
  void give_up(const std::string& why);

  // Forks what is due. Empty but in the child: its life.
  std::function<void()> fork_due();

  // Events.
  void watch(std::vector<pollfd>& watched) const;
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // True, once, when the new master serves: then hand_over() is due, and end() when this one has
  // told its processes to leave.
  bool attend();
  bool reap(pid_t pid, int status);  // false when `pid` is not the new master
  // Time has passed that counts for no deadline.
  void postpone(Clock::duration missed);

  // The files are the new master's from here on. end() tells it so.
  void hand_over();
  void end() { process_.reset(); }
  // What is counted here, for the new master.
  void write(const Counters& totals) { ledger_->write(totals); }

 private:
  void on_failed(const std::string& how);

  const Program& program_;
  ServerFiles& files_;
  const TlsQueue& tls_queue_;
  SystemdNotify& systemd_;
  log::Sink& sink_;
  std::optional<UpgradeOld> process_;
  std::string outcome_;
  pid_t new_master_ = 0;
  std::optional<Ledger> ledger_;
};

}  // namespace forktail::server
