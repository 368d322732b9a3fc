// The configuration of the queue part, and what it offers to a module that passes requests on.
//
// Written while nginx reads its configuration, read-only in the workers.
#pragma once

#include "queue_zone.h"

namespace forktail {

struct QueueMainConf {
  ngx_array_t zones;     // of QueueZone*
  ngx_int_t queue_time;  // index of $forktail_queue_time
};

// What one forktail_queue directive says.
struct QueueArgs {
  bool off;
  ngx_uint_t size;
  ngx_uint_t limit;
  ngx_msec_t timeout;
  ngx_str_t zone_name;  // empty: one is made of where the requests go to
  size_t zone_size;
};

// A queue to wait in. Without a zone there is none.
struct Queue {
  QueueZone* zone;
  ngx_msec_t timeout;
};

struct QueueSrvConf {
  bool given;
  Queue queue;  // of the upstream block that this belongs to
};

struct QueueLocConf {
  const QueueArgs* args;  // this level's forktail_queue, else that of a level above
  bool given_here;
  ngx_uint_t status;  // what a refused request is answered with
  ngx_uint_t log_level;
};

inline QueueMainConf* queue_main_conf(const ngx_http_request_t* r) {
  return static_cast<QueueMainConf*>(
      ngx_http_get_module_main_conf(r, ngx_http_forktail_queue_module));
}

inline QueueLocConf* queue_loc_conf(const ngx_http_request_t* r) {
  return static_cast<QueueLocConf*>(
      ngx_http_get_module_loc_conf(r, ngx_http_forktail_queue_module));
}

extern ngx_command_t ngx_http_forktail_queue_commands[];

void* ngx_http_forktail_queue_create_main_conf(ngx_conf_t* cf);
void* ngx_http_forktail_queue_create_srv_conf(ngx_conf_t* cf);
void* ngx_http_forktail_queue_create_loc_conf(ngx_conf_t* cf);
char* ngx_http_forktail_queue_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child);

// The queue of a location that is being merged and passes to `target`; null for `target` when that
// is known for each request only. NGX_ERROR when the configuration contradicts itself, which is
// logged.
ngx_int_t choose_queue(ngx_conf_t* cf, const ngx_str_t* target, Queue* queue);

// The queue that stands in an upstream block.
const Queue* queue_of(const ngx_http_upstream_srv_conf_t* upstream);

// Whether the location that is being merged has a forktail_queue of its own.
bool has_own_queue(ngx_conf_t* cf);
// Whether a forktail_queue, `off` too, stands in the location that is being merged or above it.
bool has_queue_args(ngx_conf_t* cf);

}  // namespace forktail
