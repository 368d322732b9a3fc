// What the two nginx modules of this shared object know of each other.
//
// ngx_http_forktail_module (id_*.cc) gives every request one id. ngx_http_forktail_pass_module
// (pass_*.cc) speaks uwsgi to a backend and asks the first one for the id; the first never looks at
// the second. Everything runs in an nginx worker, which has one thread; memory comes from nginx's
// pools.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
}

#include <string_view>

extern "C" {
extern ngx_module_t ngx_http_forktail_module;
extern ngx_module_t ngx_http_forktail_pass_module;
}

namespace forktail {

// What a directive's setter returns when it has logged why it refuses.
inline char* const kConfError = static_cast<char*>(NGX_CONF_ERROR);

inline std::string_view view(const ngx_str_t& text) {
  return {reinterpret_cast<const char*>(text.data), text.len};
}

// The id of the request that `r` belongs to (also when `r` is a subrequest), made now if it has
// none yet. Null when `forktail` is off for it, or when memory or randomness ran out, which is
// logged. Lives as long as the request.
const ngx_str_t* ngx_http_forktail_request_id(ngx_http_request_t* r);

}  // namespace forktail
