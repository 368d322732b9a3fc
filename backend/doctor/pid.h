// The examination of a running prefork server, from outside: any that has a master and workers
// which are its children.
//
// Called by one thread. It reads /proc and asks the kernel; unless it is to probe, the server does
// not notice. Wants to be the server's user, or root.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "doctor/report.h"

namespace forktail::doctor {

struct PidOptions {
  pid_t master = 0;
  std::string probe;                       // http://HOST:PORT, or a uwsgi socket; empty: no probe
  std::vector<std::string> requests;       // "GET /token"
  bool may_stop_workers = false;           // without it a probe is refused
  std::chrono::milliseconds limit{30000};  // for all of it
};

// Never throws for what it finds or can not find: that is the report's.
Report examine_pid(const PidOptions& options);

}  // namespace forktail::doctor
