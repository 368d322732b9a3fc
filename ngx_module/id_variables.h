// $forktail_id and its kin, and the built-in $request_id when it is to agree.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

ngx_int_t ngx_http_forktail_add_variables(ngx_conf_t* cf);

// Makes $request_id yield the id where forktail is on. To be called when the configuration is read
// and before nginx resolves its variables.
ngx_int_t override_request_id(ngx_conf_t* cf);

}  // namespace forktail
