// The template process of a generation, as its master knows it: whether it is there, whether it has
// loaded, and when it is to be started.
//
// Belongs to the generation, in the master's loop. Nothing waits. It is forked by the loop alone,
// see Master::run().
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <vector>

#include "forktail/api.h"
#include "server/generation/backoff.h"
#include "server/shared/channel.h"

namespace forktail::server {

class Template {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] pid_t pid() const { return pid_; }  // 0: there is none
  [[nodiscard]] bool loaded() const { return loaded_; }
  [[nodiscard]] bool loading() const { return pid_ != 0 && !loaded_; }
  [[nodiscard]] bool gone() const { return pid_ == 0 && !start_at_; }  // and none is to come
  [[nodiscard]] Clock::time_point started() const { return started_; }
  // Without a descriptor when there is nobody to talk to.
  [[nodiscard]] const Channel& channel() const FORKTAIL_LIFETIMEBOUND { return channel_; }

  // When it is to be started; nothing when it is there, or is not to be.
  [[nodiscard]] std::optional<Clock::time_point> start_at() const { return start_at_; }
  [[nodiscard]] bool due() const { return start_at_ && *start_at_ <= Clock::now(); }
  void start_later(std::chrono::milliseconds wait) { start_at_ = Clock::now() + wait; }
  void start_no_more() { start_at_.reset(); }

  // Forks it. In the child: its end of the channel. In the master nothing; throws
  // std::runtime_error.
  std::optional<Channel> start();
  // A process that is there already, loaded, takes the place.
  void adopt(pid_t pid, Channel channel);

  // What it says, up to now.
  std::vector<Message> read_messages();
  void note_loaded() { loaded_ = true; }
  // Orders a worker; `channel` is that one's end. False when it does not listen.
  bool spawn(int worker, Channel channel);

  // It has ended. Returns how long to wait before the next one.
  std::chrono::milliseconds ended();

  // It is needed no more: it ends when its channel does, which it may never do while it
  // loads.
  void let_go();
  void kill() const;
  // It has not loaded in time; the next look comes after as much time again.
  void kill_late();
  // Time has passed that does not count.
  void postpone(Clock::duration missed) { started_ += missed; }

 private:
  pid_t pid_ = 0;
  Channel channel_;
  bool loaded_ = false;
  Clock::time_point started_;
  Backoff backoff_;
  std::optional<Clock::time_point> start_at_ = Clock::now();
};

}  // namespace forktail::server
