// The examination of a running prefork server, from outside: any that has a master and workers
// which are its children.
//
// Called by one thread. It reads /proc and asks the kernel; unless it is to probe, the server does
// not notice. Wants to be the server's user, or root.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "doctor/ask/ask.h"
#include "doctor/report.h"

namespace forktail::doctor {

struct PidOptions {
  pid_t master = 0;
  std::optional<Target> probe;             // where to send the requests; none: no probe
  std::vector<std::string> requests;       // "GET /token"
  std::chrono::milliseconds limit{60000};  // for the probe
};

// Never throws for what it finds or can not find: that is the report's.
Report examine_pid(const PidOptions& options);

}  // namespace forktail::doctor
