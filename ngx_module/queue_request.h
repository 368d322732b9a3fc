// A request's way through its queue.
//
// Runs in an nginx worker. A ticket lies in its request's pool; it leaves the queue by itself when
// the request ends.
#pragma once

#include "queue_zone.h"

namespace forktail {

struct QueueTicket {
  ngx_queue_t link;  // in the zone's line, while it waits
  ngx_http_request_t* request;
  // What the request was when it came. nginx can turn one that waits to something else, as
  // post_action does when the client leaves, and tells nobody.
  const ngx_http_upstream_t* upstream;
  void** loc_conf;
  bool post_action;
  QueueZone* zone;
  ngx_msec_t since;
  ngx_msec_t waited;  // by its request, in queues before this one, and in this one when it is over
  ngx_event_t timer;
  QueueFifo::Place place;
  enum class State { kOutside, kWaiting, kActive, kRefused } state;
};

// The time that `r` has waited so far, in all queues, as $forktail_queue_time.
void note_queue_time(ngx_http_request_t* r);
// Lets `r`, whose packet is made, go on to nginx's upstream, at once or when its turn comes.
// Answers 503 when it can not wait.
void enter_queue(ngx_http_request_t* r, QueueZone* zone, ngx_msec_t timeout);
// The backend is done with the request of `ticket`.
void leave_queue(QueueTicket* ticket);

// Says in the answer to a refused request when to come again.
void install_queue_filter();

// In the master, when nothing can fail any more: gives all queues their limits.
ngx_int_t ngx_http_forktail_queue_init_module(ngx_cycle_t* cycle);

// A worker's part: takes its seat, and cleans up after workers that died.
ngx_int_t ngx_http_forktail_queue_init_process(ngx_cycle_t* cycle);

// forktail_queue_status: answers with all queues as one JSON object.
char* ngx_http_forktail_queue_status_set(ngx_conf_t* cf, ngx_command_t* command, void* conf);

// $forktail_queue_time
ngx_int_t add_queue_variables(ngx_conf_t* cf);

}  // namespace forktail
