// What the three nginx modules of this shared object know of each other.
//
// ngx_http_forktail_module (id_*.cc) gives every request one id. ngx_http_forktail_queue_module
// (queue_*.cc) limits how many requests are at a backend. ngx_http_forktail_pass_module (pass_*.cc)
// speaks uwsgi to one, and asks the other two; neither of them looks at it. Everything runs in an
// nginx worker, which has one thread; memory comes from nginx's pools.
//
// A function that nginx calls, by a table, a phase or an event, is named ngx_http_forktail_*.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
}

#include "text.h"

extern "C" {
extern ngx_module_t ngx_http_forktail_module;
extern ngx_module_t ngx_http_forktail_queue_module;
extern ngx_module_t ngx_http_forktail_pass_module;
}

namespace forktail {

// The id of the request that `r` belongs to (also when `r` is a subrequest), made now if it has
// none yet. Null when `forktail` is off for it, or when memory or randomness ran out, which is
// logged. Lives as long as the request.
const ngx_str_t* ngx_http_forktail_request_id(ngx_http_request_t* r);

// Whether requests of the server whose location is being merged get an id.
bool gives_ids(ngx_conf_t* cf);

}  // namespace forktail
