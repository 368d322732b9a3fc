// A request's way through its queue.
//
// Runs in an nginx worker. A ticket lies in its request's pool; it leaves the queue by itself when
// the request ends.
#pragma once

#include "queue_conf.h"

namespace forktail {

// Sends a request on, or ends it when it can not. Called once, in enter_queue or later.
using OnTurn = void (*)(ngx_http_request_t* r);

struct QueueTicket {
  NoConnection ident;
  ngx_queue_t link;  // in this worker's line, while it waits
  ngx_http_request_t* request;
  // What the request was when it came. nginx can turn one that waits to something else, as
  // post_action does when the client leaves, and tells nobody.
  const ngx_http_upstream_t* upstream;
  void** loc_conf;
  bool post_action;
  const QueueZone* zone;
  OnTurn on_turn;
  ngx_msec_t since;
  ngx_msec_t waited;  // by its request, in queues before this one, and in this one when it is over
  ngx_event_t timer;
  QueueFifo::Place place;
  enum class State { kOutside, kWaiting, kActive, kRefused } state;
  ngx_int_t refusal;  // the status with which it was refused
};

// Gives $forktail_queue_time what `r` has waited until now. To be called before anything is made of
// that for the server.
void note_queue_time(ngx_http_request_t* r);

// Lets `r`, which has a new r->upstream, go on by `on_turn`, at once or when its turn comes. Ends
// it when it can not wait.
void enter_queue(ngx_http_request_t* r, const QueueZone* zone, ngx_msec_t timeout, OnTurn on_turn);

// The backend is done with `r`, or will not see it.
void leave_queue(const ngx_http_request_t* r);

// Lets those go that wait in this worker and whose turn has come.
void advance_line(const QueueZone* zone);

// The ticket by which `r` was refused, be it before it was turned to an error page; else null.
const QueueTicket* refused_ticket(const ngx_http_request_t* r);

}  // namespace forktail
