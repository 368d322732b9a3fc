// Processes and requests in the words of the log.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "server/shared/slots.h"

namespace forktail::server {

// "worker 3 (pid 4711)"
std::string describe(int worker, pid_t pid);

// "handling GET /orders (12 ms)"; a request that is still being read has no name yet.
std::string describe(const SlotRequest& request, std::int64_t now_ns);

// "killed by SIGSEGV", or "ended with exit status 3": what waitpid() says of a process.
std::string how_it_ended(int status);

}  // namespace forktail::server
