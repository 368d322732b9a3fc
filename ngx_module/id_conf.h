// The configuration of the id part: its directives, and what they leave for the request's path.
//
// Written while nginx reads its configuration (in the master, or in `nginx -t`), read-only in the
// workers. Values live in the cycle's pool.
#pragma once

#include "headers.h"
#include "id_trust.h"
#include "ngx_http_forktail.h"

namespace forktail {

struct IdMainConf {
  ngx_flag_t override_request_id;
  ngx_http_get_variable_pt builtin_request_id;  // what $request_id yields where forktail is off
  // In whose place ours stands. Of this configuration, since one that is read and then refused, in
  // the same process, can have others.
  ngx_http_handler_pt rewrite_handler;
};

struct IdSrvConf {
  ngx_flag_t enabled;
  HeaderName header;
  ngx_uint_t format;  // an id::Format
  Trust trust;
  ngx_flag_t trace_context;
  ngx_flag_t error_log;
};

constexpr ngx_uint_t kHeaderSetters = 2;  // proxy_set_header and grpc_set_header

struct IdLocConf {
  ngx_flag_t response;
  HeaderName response_header;                      // empty: the name that forktail_header gives
  const ngx_array_t* set_headers[kHeaderSetters];  // what has been looked at
};

inline IdSrvConf* id_srv_conf(const ngx_http_request_t* r) {
  return static_cast<IdSrvConf*>(ngx_http_get_module_srv_conf(r, ngx_http_forktail_module));
}

extern ngx_command_t ngx_http_forktail_commands[];

void* ngx_http_forktail_create_main_conf(ngx_conf_t* cf);
char* ngx_http_forktail_init_main_conf(ngx_conf_t* cf, void* conf);
void* ngx_http_forktail_create_srv_conf(ngx_conf_t* cf);
char* ngx_http_forktail_merge_srv_conf(ngx_conf_t* cf, void* parent, void* child);
void* ngx_http_forktail_create_loc_conf(ngx_conf_t* cf);
char* ngx_http_forktail_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child);

}  // namespace forktail
