// What signals do to a process, and so to the programs that it starts: what it ignores, blocks or
// leaves at its default they inherit (signal(7)), but no handler. Called by a process's main thread
// before it has others.
#pragma once

#include <sys/types.h>

#include <span>

namespace forktail::server {

// What whoever started this program has ignored or blocked has its default action, and is not
// blocked: without SIGCHLD no death would be noticed.
void undo_inherited_signals();

// They do nothing: to this process, whose interrupted calls go on where they can, and not to the
// programs that it starts.
void disregard(std::span<const int> signals);

// Those that say what a call says as well: a reader that leaves, and a file that may not grow, are
// errors of a write, not ends of a process.
std::span<const int> signals_of_writes();

// All but these have their default action, and none is blocked.
void reset_signals_but(std::span<const int> kept);

// Whether another process handles the signal: what it does not, may end it. False when that can not
// be told.
bool handles(pid_t process, int signal);

// Whether this process has a terminal, which may send it signals of its own accord.
bool has_terminal();

}  // namespace forktail::server
