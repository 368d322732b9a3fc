// The children of this process: those that have ended, and those that are copies of it.
//
// For the one thread of a process that is the reaper of its descendants' orphans.
#pragma once

#include <sys/types.h>

#include <vector>

namespace forktail::server {

// One that has ended, with its wait status; 0 when there is none. One that had this process trace
// it is let go: each of its stops would look like an end.
pid_t ended_child(int& status);

// Those that were forked, and never made into another program. By their names in /proc nothing
// tells them from what they were forked from.
std::vector<pid_t> forked_children();

}  // namespace forktail::server
