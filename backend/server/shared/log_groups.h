// Where the workers of a generation gather the log lines of their requests (`log-group = request`),
// in memory that the master shares.
#pragma once

#include <memory>

#include "log/group.h"
#include "server/os/shared_memory.h"

namespace forktail::server {

class LogGroups {
 public:
  // In the master. Throws std::system_error.
  LogGroups(int seats, int threads);
  // In a process that was exec'ed.
  LogGroups(int memfd, int seats, int threads);

  // What a worker, by its number from 1, gathers in.
  [[nodiscard]] log::Gathering of(int worker) const;
  // For a new worker, before it starts.
  void clear(int worker) const;

  [[nodiscard]] int memfd() const { return memory_.memfd(); }

 private:
  int threads_;
  SharedMemory memory_;
};

}  // namespace forktail::server
