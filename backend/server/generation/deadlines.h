// When the processes of a generation, and the requests that they have, have had their time: at a
// start, at leaving, by max-worker-lifetime, by harakiri.
//
// Belongs to the generation, in the master's loop. It warns, sends away and kills workers; what
// becomes of the generation is for that to decide.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "server/generation/harakiri.h"
#include "server/generation/phase.h"
#include "server/generation/template_process.h"
#include "server/generation/worker_lines.h"
#include "server/generation/workers.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  using Phase = GenerationPhase;

  // All must outlive it.
  Deadlines(const Options& options, const Slots& slots, Template& its_template, Workers& workers,
            const WorkerLines& lines, log::Sink& sink);

  [[nodiscard]] std::optional<Clock::time_point> next(Phase phase) const;
  // Somebody is killed when he is late.
  [[nodiscard]] bool any(Phase phase) const;

  struct Late {
    std::string failure;                     // why the generation can not start; empty: it can
    std::vector<std::string> failed_starts;  // of workers of one that serves
  };
  Late act(Phase phase);

  // Time has passed that counts for nothing.
  void postpone(Clock::duration missed);

 private:
  [[nodiscard]] std::optional<Clock::time_point> next_start(Phase phase) const;
  void kill_those_without_mercy();
  Late give_up_slow_starts(Phase phase);
  void retire_the_old();
  void look_at_requests();

  const Options& options_;
  const Slots& slots_;
  Template& template_;
  Workers& workers_;
  const WorkerLines& lines_;
  log::Sink& sink_;
  Harakiri harakiri_;
};

}  // namespace forktail::server
