// The identity of one request: its id, where that came from, and its place in a trace.
//
// Made once, at POST_READ, where the peer of the socket is still known, or later for a request that
// nginx answers before that phase. It belongs to the main request: subrequests, internal redirects
// and error pages find the same one. Runs in a worker; lives in the request's pool.
#pragma once

#include "id_conf.h"
#include "ngx_http_forktail.h"

namespace forktail {

// All strings: the variables show them as they are. `data` is null where there is nothing to show.
struct Identity {
  ngx_str_t id;  // empty: no random bytes were to be had, which is logged
  ngx_str_t source;
  ngx_str_t client_id;  // the value that a client sent and that was not taken, escaped
  ngx_str_t trace_id;
  ngx_str_t span_id;
  ngx_str_t traceparent;
  ngx_http_log_handler_pt next_log_handler;
};

// The identity of the request that `r` belongs to, made now if it has none yet. Null when forktail
// is off for it or memory ran out.
Identity* identity(ngx_http_request_t* r);

// The same, but never makes one, so that it may be called while a log line is being written.
Identity* find_identity(ngx_http_request_t* r);

// Gives the request its identity, and the upstream its headers, before anything else looks at it.
ngx_int_t ngx_http_forktail_handler(ngx_http_request_t* r);

}  // namespace forktail
