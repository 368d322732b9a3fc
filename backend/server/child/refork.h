// A refork: a worker that has served becomes the template of the next generation, so that what it
// has learned (its caches) is shared by copy on write with all of that generation's workers.
//
// The worker finishes its requests, calls on_worker_stop() and has then to be single-threaded, for
// it goes on to fork. It keeps its process, its memory and the application's descriptors, and gets
// what its new generation shares over a socket that came with the order.
#pragma once

#include "forktail/app.h"
#include "server/child/generation_share.h"
#include "server/shared/channel.h"

namespace forktail::server {

// In the worker, when it has stopped serving: `orders` is the socket. Ends the process, with a
// message to the master, if the application's threads are in the way.
[[noreturn]] void become_template(const GenerationShare& share, int worker, const Channel& master,
                                  Channel orders, App& app);

// In the master: what the worker needs of `share` and `channel`, its new generation's. False with
// errno when it is gone.
bool send_share(const Channel& orders, const GenerationShare& share, const Channel& channel);

}  // namespace forktail::server
