// The request's id at the end of each of its error-log lines.
#pragma once

#include "id_request.h"
#include "ngx_http_forktail.h"

namespace forktail {

// Wraps the handler that ends the error-log lines of the main request `r`.
void tag_error_log(ngx_http_request_t* r, Identity* identity);

}  // namespace forktail
