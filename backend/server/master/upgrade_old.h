// An upgrade of the binary, seen from the master that is to be replaced: the process that was
// started with the new binary, until it serves or has ended.
//
// Belongs to the master's loop. Nothing waits.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "server/master/upgrade_new.h"
#include "server/os/program.h"
#include "server/shared/channel.h"

namespace forktail::server {

class UpgradeOld {
 public:
  using Clock = std::chrono::steady_clock;

  // Makes ready to start the program anew, with the descriptors of `description` (whose channel is
  // made here). It has `limit` to serve, then `mercy` to end. Throws std::system_error.
  UpgradeOld(const Program& program, UpgradeDescription description,
             std::chrono::milliseconds limit, std::chrono::milliseconds mercy);

  // It is to be forked, which the master's loop does: true in the child, which is to leave the loop
  // for become_new_master(). What goes wrong is kept for failure().
  [[nodiscard]] bool due() const { return pid_ == 0; }
  bool start();
  [[noreturn]] void become_new_master();

  [[nodiscard]] pid_t pid() const { return pid_; }  // 0: not forked yet, or it could not be
  [[nodiscard]] bool could_not_start() const { return pid_ < 0; }

  void watch(std::vector<pollfd>& watched) const;
  // Whether it serves. What it says of its failure is kept for failure().
  bool read_messages();
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void act_on_deadlines();
  // Time has passed that counts for no deadline.
  void postpone(Clock::duration missed);

  // It is not to replace this master any more, but may finish what its workers have. The first
  // reason is the one that is reported.
  void give_up(const std::string& why);

  // Why it has not come to serve, `how` being how it ended.
  [[nodiscard]] std::string failure(const std::string& how) const;

 private:
  void tell(int signal) const;

  const Program& program_;
  UpgradeDescription description_;
  Descriptor memfd_;
  Channel theirs_;
  pid_t pid_ = 0;
  Channel channel_;
  std::chrono::milliseconds limit_;
  std::chrono::milliseconds mercy_;
  Clock::time_point give_up_at_;
  std::optional<Clock::time_point> kill_at_;
  std::string failure_;
};

}  // namespace forktail::server
