// How a worker in exec mode comes by what a forked one simply has: a description, in a memfd, of
// the descriptors that it inherits and of its options.
#pragma once

#include <string>
#include <vector>

#include "server/child/generation_share.h"
#include "server/shared/channel.h"

namespace forktail::server {

struct ExecWorker {
  ShareDescription share;
  int worker = 0;
  int channel = -1;  // descriptors
  int log = -1;
  int app_copy = -1;     // none
  std::string options;   // INI text
  std::string log_path;  // absolute
};

// Replaces the process by a fresh one of the same program, as `worker`. Returns only on failure,
// with the reason.
std::string exec_worker(const GenerationShare& share, int worker, const Channel& channel);

// In the fresh process: reads the description and closes its descriptor. Throws std::runtime_error
// when it is none.
ExecWorker read_exec_worker(int descriptor);

// The rest of the worker's life, after `options` have been read from what `self` bears.
[[noreturn]] void run_exec_worker(const ExecWorker& self, Options options);

}  // namespace forktail::server
