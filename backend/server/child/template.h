// The template process of a generation: in preload mode it holds the loaded application, in every
// mode it forks the workers, so that the master never does what an application's state could spoil.
#pragma once

#include "server/child/worker.h"
#include "server/shared/channel.h"

namespace forktail::server {

// The life of a template, in a process just forked from the master. Ends the process.
[[noreturn]] void run_template(const Household& household, Channel master);

// The same for a worker that was promoted: the application is loaded, and warm.
[[noreturn]] void run_promoted_template(const Household& household, Channel master, App& app);

}  // namespace forktail::server
