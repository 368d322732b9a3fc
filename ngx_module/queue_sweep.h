// What worker processes that are gone hold of the queues is taken back.
//
// A worker that dies is cleaned up after by the one that nginx starts in its place. For one that
// dies while it ends after a reload, nginx starts none: so those look who wait, or would have to.
#pragma once

#include "queue_conf.h"

namespace forktail {

// Not each time, since that asks the kernel for each worker that has requests.
void sweep_now_and_then(const QueueZone* zone);

// While requests of this worker wait.
void keep_sweeping(const QueueZone* zone);
void stop_sweeping(const QueueZone* zone);

// A new worker's first look at a queue.
void sweep_at_start(const QueueZone* zone);

}  // namespace forktail
