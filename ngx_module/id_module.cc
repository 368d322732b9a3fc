// The id part as nginx sees it: an HTTP module with phase handlers and a header filter.
#include "id_conf.h"
#include "id_request.h"
#include "id_response.h"
#include "id_variables.h"

namespace forktail {
namespace {

ngx_int_t ngx_http_forktail_rewrite_handler(ngx_http_request_t* r) {
  const auto* conf =
      static_cast<const IdMainConf*>(ngx_http_get_module_main_conf(r, ngx_http_forktail_module));
  const ngx_int_t rc = ngx_http_forktail_handler(r);
  return rc == NGX_DECLINED ? conf->rewrite_handler(r) : rc;
}

ngx_array_t* phase_handlers(ngx_conf_t* cf, ngx_http_phases phase) {
  auto* core = static_cast<ngx_http_core_main_conf_t*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
  return &core->phases[phase].handlers;
}

ngx_int_t add_handler(ngx_conf_t* cf, ngx_http_phases phase) {
  auto* handler = static_cast<ngx_http_handler_pt*>(ngx_array_push(phase_handlers(cf, phase)));
  if (handler == nullptr) {
    return NGX_ERROR;
  }
  *handler = ngx_http_forktail_handler;
  return NGX_OK;
}

// A phase runs its last handler first. In this phase ours takes that one's place and calls it: the
// rewrite module knows a server without a matching location by being the first, and would repeat
// the server's rewrites behind another one.
ngx_int_t wrap_first_rewrite_handler(ngx_conf_t* cf) {
  const ngx_array_t* handlers = phase_handlers(cf, NGX_HTTP_REWRITE_PHASE);
  if (handlers->nelts == 0) {
    return add_handler(cf, NGX_HTTP_REWRITE_PHASE);
  }
  auto* first = static_cast<ngx_http_handler_pt*>(handlers->elts) + handlers->nelts - 1;
  static_cast<IdMainConf*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_module))
      ->rewrite_handler = *first;
  *first = ngx_http_forktail_rewrite_handler;
  return NGX_OK;
}

ngx_int_t ngx_http_forktail_init(ngx_conf_t* cf) {
  install_response_filter();
  // A request that nginx refuses while it reads the headers never gets to POST_READ, but its error
  // page may be fetched from an upstream. On the way there, named location or not, is REWRITE.
  if (add_handler(cf, NGX_HTTP_POST_READ_PHASE) != NGX_OK ||
      wrap_first_rewrite_handler(cf) != NGX_OK) {
    return NGX_ERROR;
  }
  return override_request_id(cf);
}

ngx_http_module_t g_context = {
    ngx_http_forktail_add_variables,    ngx_http_forktail_init,
    ngx_http_forktail_create_main_conf, ngx_http_forktail_init_main_conf,
    ngx_http_forktail_create_srv_conf,  ngx_http_forktail_merge_srv_conf,
    ngx_http_forktail_create_loc_conf,  ngx_http_forktail_merge_loc_conf};

}  // namespace
}  // namespace forktail

extern "C" {
ngx_module_t ngx_http_forktail_module = {NGX_MODULE_V1,
                                         &forktail::g_context,
                                         forktail::ngx_http_forktail_commands,
                                         NGX_HTTP_MODULE,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         NGX_MODULE_V1_PADDING};
}
