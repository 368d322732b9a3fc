// The template process of a generation: in preload mode it holds the loaded application, in every
// mode it forks the workers, so that the master never does what an application's state could spoil.
#pragma once

#include "forktail/app.h"
#include "server/child/generation_share.h"
#include "server/shared/channel.h"

namespace forktail::server {

// The life of a template, in a process just forked from the master. Ends the process.
[[noreturn]] void run_template(const GenerationShare& share, Channel master);

// The same for a worker that becomes one: the application is loaded, and warm.
[[noreturn]] void run_reforked_template(const GenerationShare& share, Channel master, App& app);

}  // namespace forktail::server
