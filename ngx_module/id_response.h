// The id in the response: one header, whatever the upstream or `add_header` set.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

void install_response_filter();

}  // namespace forktail
