// From options to a running server, and back to an exit code.
#pragma once

#include "server/master/master.h"
#include "server/shared/options.h"

namespace forktail::server {

// Opens the log and the sockets, drops privileges, runs the master until the server is stopped.
// Returns the exit code. Throws std::exception, naming the cure, when it can not start; nothing is
// left behind then.
int serve(Options options, Master::ReadOptions read_options);

// Whether serve() could start with these: sockets' addresses, users, directories, and the
// application, which is loaded in a process of its own. Throws std::exception naming what is wrong
// and the cure. Binds nothing.
void check(const Options& options);

}  // namespace forktail::server
