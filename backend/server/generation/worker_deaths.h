// What is done about a worker that has ended: its connections go on with others or end, what it has
// gathered is logged, and so are the requests that died with it.
//
// Belongs to the generation, in the master's loop. Nothing waits. Whether it gets a successor is
// for the generation to decide.
#pragma once

#include <string>
#include <vector>

#include "log/sink.h"
#include "server/generation/shared_parts.h"
#include "server/generation/worker_lines.h"
#include "server/generation/workers.h"

namespace forktail::server {

class WorkerDeaths {
 public:
  // All must outlive it.
  WorkerDeaths(SharedParts& parts, Workers& workers, const WorkerLines& lines, log::Sink& sink)
      : parts_(parts), workers_(workers), lines_(lines), sink_(sink) {}

  // Its seat is empty from here on. What it was, and whether it ended by an order of the server's.
  struct Dead {
    bool expected;
    bool ready;
    bool failed;                      // and has said so
    Workers::Clock::duration served;  // for how long; to hang in its start is no life
  };
  Dead bury(int worker, const std::string& how);

 private:
  void log_crash(int worker, const std::string& how, const std::vector<bool>& resumed);

  SharedParts& parts_;
  Workers& workers_;
  const WorkerLines& lines_;
  log::Sink& sink_;
};

}  // namespace forktail::server
