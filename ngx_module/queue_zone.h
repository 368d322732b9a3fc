// A queue: a zone of shared memory, and what each nginx worker has for itself of it.
//
// QueueZone is made in the master while it reads its configuration and read-only afterwards. Its
// QueueLine belongs to the worker that looks at it.
#pragma once

#include "ngx_http_forktail.h"
#include "queue_fifo.h"

namespace forktail {

struct QueueArgs;
struct QueueZone;

// nginx's debug log takes the data of each timer for a connection, and prints its descriptor.
struct NoConnection {
  void* unused[3];
  ngx_socket_t fd = static_cast<ngx_socket_t>(-1);
};

struct QueueLine {
  NoConnection ident;
  const QueueZone* zone;
  ngx_queue_t tickets;  // of QueueTicket: this worker's share of those who wait, in their order
  ngx_msec_t swept;
  ngx_event_t sweeper;
};

struct QueueZone {
  ngx_shm_zone_t* shm;
  QueueFifo* fifo;
  ngx_uint_t size;
  ngx_uint_t limit;
  QueueLine* line;
};

// The zone that `args` ask for, on the way to `target`. Null when that contradicts what another
// directive says of the zone, which is logged.
QueueZone* add_queue_zone(ngx_conf_t* cf, const QueueArgs& args, const ngx_str_t* target);

}  // namespace forktail
