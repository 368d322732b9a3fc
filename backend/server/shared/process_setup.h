// What a start does to the process before any application code runs, in this order, each step
// shared with `forktail check`, which takes it as well.
#pragma once

#include "server/os/users.h"
#include "server/shared/options.h"

namespace forktail::server {

// Whom `uid` and `gid` mean. Throws std::runtime_error, also when the application would run as root
// and nobody asked for that: it may then do everything on this machine, and so may whoever finds a
// hole in it.
Identity identity_of_workers(const Options& options);

// What signals do, the limit of open files, and `umask`.
void prepare_process(const Options& options);

// To `chdir`. Throws std::runtime_error.
void change_directory(const Options& options);

}  // namespace forktail::server
