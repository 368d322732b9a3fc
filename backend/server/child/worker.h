// A worker process: takes over a place in its generation, loads the application where its fork mode
// says so, serves until it is told to leave.
#pragma once

#include <sys/types.h>

#include "forktail/app.h"
#include "server/child/generation_share.h"
#include "server/shared/channel.h"

namespace forktail::server {

// With the signals of orders.h installed. The life of worker number `worker` from the moment that
// its process exists. `app` is the application loaded in the template, or null when it is to be
// loaded here. Ends the process: with 0 after an orderly leave, with 1 (and a start_failed message)
// when it could not start.
[[noreturn]] void run_worker(const GenerationShare& share, int worker, const Channel& master,
                             App* app);

// Ties the calling process to the master's life: when the master ends, by SIGKILL too, the kernel
// kills it. Call once the master is the parent.
void die_with_master(pid_t master);

}  // namespace forktail::server
