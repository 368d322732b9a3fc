// A refork: a worker that has served becomes the template of the next generation, so that what it
// has learned (its caches) is shared by copy on write with all of that generation's workers.
//
// The worker finishes its requests, calls on_worker_stop() and has then to be single-threaded, for
// it goes on to fork. It keeps its process, its memory and the application's descriptors, and gets
// what its new generation shares over a socket that came with the order.
#pragma once

#include <vector>

#include "server/child/worker.h"
#include "server/shared/channel.h"

namespace forktail::server {

// In the worker, when it has stopped serving. Ends the process, with a message to the master, if
// the application's threads are in the way.
[[noreturn]] void become_template(const Household& household, int worker, const Channel& master,
                                  Channel heritage, App& app);

// In the master: what the promoted worker needs of `household` and `channel`, its new generation's.
// False with errno when it is gone.
bool bequeath(const Channel& heritage, const Household& household, const Channel& channel);

}  // namespace forktail::server
