// forktail_queue as it is configured: zones of shared memory, and who uses which.
//
// Made in the master while it reads its configuration; in a worker only `line` and what follows it
// change.
#pragma once

#include "queue_fifo.h"

namespace forktail {

struct QueueZone {
  ngx_shm_zone_t* shm;
  QueueFifo* fifo;
  ngx_uint_t size;
  ngx_uint_t limit;
  ngx_queue_t line;  // of QueueTicket: this worker's share of those who wait, in their order
  ngx_msec_t swept;
  ngx_event_t sweeper;
};

// What one forktail_queue directive says.
struct QueueConf {
  bool off;
  ngx_uint_t size;
  ngx_uint_t limit;
  ngx_msec_t timeout;
  ngx_str_t zone_name;  // empty: one is made of where forktail_pass goes to
  size_t zone_size;
};

// forktail_queue SIZE active=N [timeout=T] [zone=NAME:SIZE] | off. Sets the QueueConf* in `conf`.
char* ngx_http_forktail_queue_set(ngx_conf_t* cf, ngx_command_t* command, void* conf);

// The zone that `conf` asks for on the way to `target`. Null when that contradicts what another
// directive says of the zone, which is logged.
QueueZone* add_queue_zone(ngx_conf_t* cf, const QueueConf& conf, const ngx_str_t& target);

}  // namespace forktail
