// The children of this process: those that have ended, and those that are copies of it.
//
// For the one thread of a process that is the reaper of its descendants' orphans.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace forktail::server {

// Calls `on_ended` for each that has ended, with its wait status. One that had this process trace
// it is let go: each of its stops would look like an end.
void reap_children(const std::function<void(pid_t pid, int status)>& on_ended);

// Those that run this program under a title that `is_one` takes. A child that was forked, and never
// made into another program, has the title of what it was forked from; one that was, even if it is
// this program again, has a command line of its own.
std::vector<pid_t> children_titled(const std::function<bool(const std::string& title)>& is_one);

}  // namespace forktail::server
