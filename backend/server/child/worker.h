// A worker process: takes over a place in its generation, loads the application where its fork mode
// says so, serves until it is told to leave.
#pragma once

#include <sys/types.h>

#include "forktail/app.h"
#include "log/sink.h"
#include "server/dispatch/ready_list.h"
#include "server/shared/channel.h"
#include "server/shared/log_groups.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

// What all processes of one generation share.
struct Household {
  pid_t master;
  int generation;
  const Options& options;
  Slots& slots;
  DispatchShare& dispatch;
  log::Sink& sink;
  const LogGroups* log_groups;  // null: each line at once
};

// The life of worker `id` from the moment that its process exists. `app` is the application loaded
// in the template, or null when it is to be loaded here. Ends the process: with 0 after an orderly
// leave, with 1 (and a start_failed message) when it could not start.
[[noreturn]] void run_worker(const Household& household, int id, const Channel& master, App* app);

// Ties the calling process to the master's life: when the master ends, by SIGKILL too, the kernel
// kills it. Call once the master is the parent.
void die_with_master(pid_t master);

}  // namespace forktail::server
