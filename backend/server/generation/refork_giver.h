// A generation's part in the refork of the next one: which of its workers becomes that one's
// template, and what has come of it.
//
// Belongs to the generation, in the master's loop. Nothing waits.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "log/sink.h"
#include "server/generation/workers.h"
#include "server/shared/channel.h"
#include "server/shared/options.h"

namespace forktail::server {

// A worker that becomes a template.
struct Refork {
  pid_t pid = 0;
  Channel orders;       // on which it waits for what it is to share
  std::string failure;  // why there is none
};

class ReforkGiver {
 public:
  // All must outlive it.
  ReforkGiver(const Options& options, Workers& workers, log::Sink& sink)
      : options_(options), workers_(workers), sink_(sink) {}

  // Chooses a worker and tells it. Returns why there is none that can; take() has the outcome.
  std::string begin();
  // The outcome, once.
  std::optional<Refork> take();

  // It is the worker that is on its way.
  [[nodiscard]] bool is(int worker) const { return worker == worker_; }
  // It is a template now: no worker any more.
  void note_done(pid_t pid);
  void note_failed(const std::string& why);
  // The process that was that worker has ended, as a template.
  void note_died(const std::string& how);

 private:
  const Options& options_;
  Workers& workers_;
  log::Sink& sink_;
  int worker_ = 0;  // that is to become a template; 0: none
  std::optional<Refork> refork_;
};

}  // namespace forktail::server
