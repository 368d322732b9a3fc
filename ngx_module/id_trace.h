// The request's place in a W3C trace: continuing a trusted caller's, or starting one.
//
// Called once a request, while its identity is made; allocates from the request's pool.
#pragma once

#include "id/trace_context.h"
#include "id_request.h"
#include "ngx_http_forktail.h"

namespace forktail {

// The one traceparent of the client, when it is valid. Several are none: no rule says which counts.
std::optional<id::TraceParent> inbound_traceparent(ngx_http_request_t* r);

// Sets the trace of `identity`, whose id must be known, and gives the upstream a traceparent with a
// span id of this request, so that its spans hang below nginx. `parent` is what the client sent and
// is trusted for; without it a trace starts here, and the client's tracestate is dropped with its
// traceparent. False when memory or randomness ran out.
bool trace(ngx_http_request_t* r, Identity* identity, const std::optional<id::TraceParent>& parent);

}  // namespace forktail
