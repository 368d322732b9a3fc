// What the queue says of a request: $forktail_queue_time, and Retry-After for a refused one.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

ngx_int_t ngx_http_forktail_queue_add_variables(ngx_conf_t* cf);

// Gives $forktail_queue_time its value. It survives internal redirects, as the request's context
// does not.
void write_queue_time(ngx_http_request_t* r, ngx_msec_t waited);

void install_queue_filter();

}  // namespace forktail
