// The starts of a generation's workers: orders them of the template, learns which process each is,
// and remembers which could not start.
//
// Belongs to the generation, in the master's loop. Nothing waits. What a failure means for the
// generation is for that to decide.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "forktail/api.h"
#include "log/sink.h"
#include "server/generation/shared_parts.h"
#include "server/generation/template_process.h"
#include "server/generation/workers.h"
#include "server/shared/channel.h"

namespace forktail::server {

class WorkerStarts {
 public:
  // All must outlive it.
  WorkerStarts(SharedParts& parts, Template& its_template, Workers& workers, log::Sink& sink)
      : parts_(parts), template_(its_template), workers_(workers), sink_(sink) {}

  // Orders one. Returns why it is impossible: the master lacks what it takes. Empty: it is ordered,
  // or is to be soon. What is impossible() ends a start; in a generation that serves it is tried
  // again.
  std::string order(int worker);
  static std::string impossible(int worker, const std::string& why);
  void try_again(int worker, const std::string& why);

  // What the template says of one that was ordered. One that has died already was reaped before
  // anybody could know what it was: its wait status, then.
  std::optional<int> note_spawned(int worker, pid_t pid);
  bool note_spawn_failed(const Message& message);  // false when it is about nobody
  // A death of nobody's, so far: the template may be about to say that it was a worker.
  void keep_unclaimed(pid_t pid, int status);
  // Those that the template was told to fork and did not, for it has ended. One that it was just
  // forking finds its channel closed and ends by itself.
  void forget_unforked();

  // One could not start. How many there were, and how it was the last time.
  void note_failed(const std::string& why);
  [[nodiscard]] int failed() const { return failed_; }
  [[nodiscard]] const std::string& last_failed() const FORKTAIL_LIFETIMEBOUND {
    return last_failed_;
  }

 private:
  SharedParts& parts_;
  Template& template_;
  Workers& workers_;
  log::Sink& sink_;
  std::deque<std::pair<pid_t, int>> unclaimed_;  // the latest deaths of nobody's, and how
  int failed_ = 0;
  std::string last_failed_;
};

}  // namespace forktail::server
