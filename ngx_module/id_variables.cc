#include "id_variables.h"

#include "id_conf.h"
#include "id_request.h"

namespace forktail {
namespace {

ngx_int_t show(ngx_http_variable_value_t* v, const ngx_str_t& text) {
  v->len = static_cast<unsigned>(text.len) & 0x0fffffffU;
  v->data = text.data;
  v->valid = 1;
  v->no_cacheable = 0;
  v->not_found = 0;
  return NGX_OK;
}

// `data` is the offset of an ngx_str_t in Identity.
ngx_int_t ngx_http_forktail_variable(ngx_http_request_t* r, ngx_http_variable_value_t* v,
                                     uintptr_t data) {
  const Identity* found = identity(r);
  if (found != nullptr) {
    const auto* text =
        reinterpret_cast<const ngx_str_t*>(reinterpret_cast<const u_char*>(found) + data);
    if (text->data != nullptr) {
      return show(v, *text);
    }
  }
  v->not_found = 1;
  return NGX_OK;
}

ngx_int_t ngx_http_forktail_request_id_variable(ngx_http_request_t* r, ngx_http_variable_value_t* v,
                                                uintptr_t data) {
  if (const ngx_str_t* id = ngx_http_forktail_request_id(r); id != nullptr) {
    return show(v, *id);
  }
  const auto* conf =
      static_cast<IdMainConf*>(ngx_http_get_module_main_conf(r, ngx_http_forktail_module));
  return conf->builtin_request_id(r, v, data);
}

struct Variable {
  ngx_str_t name;
  uintptr_t offset;
};

const Variable kVariables[] = {
    {ngx_string("forktail_id"), offsetof(Identity, id)},
    {ngx_string("forktail_id_source"), offsetof(Identity, source)},
    {ngx_string("forktail_client_id"), offsetof(Identity, client_id)},
    {ngx_string("forktail_trace_id"), offsetof(Identity, trace_id)},
    {ngx_string("forktail_span_id"), offsetof(Identity, span_id)},
    {ngx_string("forktail_traceparent"), offsetof(Identity, traceparent)},
};

}  // namespace

ngx_int_t ngx_http_forktail_add_variables(ngx_conf_t* cf) {
  for (const Variable& entry : kVariables) {
    ngx_str_t name = entry.name;
    ngx_http_variable_t* variable = ngx_http_add_variable(cf, &name, 0);
    if (variable == nullptr) {
      return NGX_ERROR;
    }
    variable->get_handler = ngx_http_forktail_variable;
    variable->data = entry.offset;
  }
  return NGX_OK;
}

ngx_int_t override_request_id(ngx_conf_t* cf) {
  auto* conf =
      static_cast<IdMainConf*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_module));
  if (conf->override_request_id == 0) {
    return NGX_OK;
  }
  const auto* core = static_cast<ngx_http_core_main_conf_t*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
  // ngx_http_add_variable gives only variables that may be changed, so the table is searched. nginx
  // builds it anew for each configuration that it reads.
  auto* keys = static_cast<ngx_hash_key_t*>(core->variables_keys->keys.elts);
  for (ngx_uint_t i = 0; i < core->variables_keys->keys.nelts; ++i) {
    if (view(keys[i].key) == "request_id") {
      auto* variable = static_cast<ngx_http_variable_t*>(keys[i].value);
      conf->builtin_request_id = variable->get_handler;
      variable->get_handler = ngx_http_forktail_request_id_variable;
      return NGX_OK;
    }
  }
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                     "\"forktail_override_request_id\" is on, but this nginx has no $request_id");
  return NGX_ERROR;
}

}  // namespace forktail
