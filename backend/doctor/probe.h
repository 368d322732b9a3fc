// The twin probe of a running server, without its help: to reach one worker, all others are stopped
// for the moment of a request. For test environments.
//
// Called by one thread, which it blocks for its time limit at most. No worker is left stopped.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "doctor/ask/ask.h"
#include "doctor/finding.h"
#include "doctor/open_file.h"
#include "doctor/server_kind.h"
#include "doctor/socket_table.h"

namespace forktail::doctor {

struct Probe {
  std::vector<Finding> findings;
  std::vector<std::string> notes;
  std::vector<std::string> failures;
};

Probe probe(const Family& family, const std::vector<OpenFile>& files, const SocketTable& sockets,
            const Target& target, const std::vector<std::string>& requests,
            std::chrono::milliseconds limit);

// Those workers that accept from the target's listener: all of them when that is not known. A
// router between the target and the workers must go on.
std::vector<Process> acceptors(const Family& family, const std::vector<OpenFile>& files,
                               const SocketTable& sockets, const Target& target);

}  // namespace forktail::doctor
