#include "id_conf.h"

#include "conf_args.h"
#include "foreign_conf.h"
#include "id/generate.h"

namespace forktail {
namespace {

// nginx keeps pointers into its headers and writes some of them itself. Removing or adding such a
// header behind its back would make its own picture of the message wrong.
bool kept_by_nginx(std::string_view name) {
  for (const ngx_http_header_t* header = ngx_http_headers_in; header->name.len != 0; ++header) {
    if (same_text(view(header->name), name)) {
      return true;
    }
  }
  for (const ngx_http_header_out_t* header = ngx_http_headers_out; header->name.len != 0;
       ++header) {
    if (same_text(view(header->name), name)) {
      return true;
    }
  }
  return false;
}

// Headers with a meaning of their own that nginx's tables do not have. As the id's, the real ones
// would be taken out of the message.
bool means_something_else(std::string_view name) {
  for (const std::string_view other : {"Set-Cookie", "WWW-Authenticate", "Vary", "Link",
                                       "Retry-After", "Trailer", "traceparent", "tracestate"}) {
    if (same_text(other, name)) {
      return true;
    }
  }
  return false;
}

char* take_header_name(ngx_conf_t* cf, HeaderName* name) {
  const std::string_view text = view(argument(cf, 1));
  for (const char c : text) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-')) {
      return refuse_argument(cf, argument(cf, 1),
                             "it must be a header's name of letters, digits and \"-\"");
    }
  }
  if (text.empty()) {
    return refuse_argument(cf, argument(cf, 1), "it must be a header's name such as X-Request-ID");
  }
  if (kept_by_nginx(text) || means_something_else(text)) {
    return refuse_argument(cf, argument(cf, 1),
                           "it has a meaning of its own, it must be a header such as X-Request-ID");
  }
  return make_header_name(cf->pool, argument(cf, 1), name) ? NGX_CONF_OK : kConfError;
}

char* ngx_http_forktail_set_header(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  HeaderName& name = static_cast<IdSrvConf*>(conf)->header;
  return name.text.data != nullptr ? kIsDuplicate : take_header_name(cf, &name);
}

char* ngx_http_forktail_set_format(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  auto* srv = static_cast<IdSrvConf*>(conf);
  if (srv->format != NGX_CONF_UNSET_UINT) {
    return kIsDuplicate;
  }
  const std::string_view value = view(argument(cf, 1));
  if (value == "hex") {
    srv->format = static_cast<ngx_uint_t>(id::Format::hex);
  } else if (value == "uuid") {
    srv->format = static_cast<ngx_uint_t>(id::Format::uuid);
  } else if (value == "random") {
    srv->format = static_cast<ngx_uint_t>(id::Format::random);
  } else {
    return refuse_argument(cf, argument(cf, 1), "it must be \"hex\", \"uuid\" or \"random\"");
  }
  return NGX_CONF_OK;
}

char* ngx_http_forktail_set_trust(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  return add_trust(cf, &static_cast<IdSrvConf*>(conf)->trust);
}

char* ngx_http_forktail_set_response_header(ngx_conf_t* cf, ngx_command_t*, void* conf) {
  auto* loc = static_cast<IdLocConf*>(conf);
  if (loc->response != NGX_CONF_UNSET) {
    return kIsDuplicate;
  }
  const std::string_view value = view(argument(cf, 1));
  loc->response = same_text(value, "off") ? 0 : 1;
  if (loc->response == 0 || same_text(value, "on")) {
    return NGX_CONF_OK;
  }
  return take_header_name(cf, &loc->response_header);
}

struct HeaderSetter {
  std::string_view module;
  std::string_view directive;
};

constexpr HeaderSetter kSetters[kHeaderSetters] = {{"ngx_http_proxy_module", "proxy_set_header"},
                                                   {"ngx_http_grpc_module", "grpc_set_header"}};

// Whether `value`, as a directive has it, is the request's id, or nothing at all.
bool says_id(ngx_conf_t* cf, const ngx_str_t& value, const HeaderName& header) {
  static constexpr std::string_view kInbound = "$http_";
  if (begins_with(view(value), kInbound)) {
    return same_cgi_name({value.len - kInbound.size(), value.data + kInbound.size()}, header);
  }
  const auto* conf = static_cast<const IdMainConf*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_module));
  return value.len == 0 || view(value) == "$forktail_id" ||
         (view(value) == "$request_id" && conf->override_request_id != 0);
}

// Warns of what one level's proxy_set_header or grpc_set_header sends in the place of the id.
void warn_of_set_header(ngx_conf_t* cf, const HeaderSetter& setter, const ngx_array_t& headers,
                        const HeaderName& id) {
  const auto* core = static_cast<const ngx_http_core_loc_conf_t*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  const auto* header = static_cast<const ngx_keyval_t*>(headers.elts);
  for (ngx_uint_t i = 0; i < headers.nelts; ++i) {
    if (same_name(header[i].key, id) && !says_id(cf, header[i].value, id)) {
      const ngx_str_t directive = to_ngx(setter.directive);
      ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                         "\"%V %V %V\" in location \"%V\" is sent in the place of the request's "
                         "id: remove it, or let it say $forktail_id",
                         &directive, &header[i].key, &header[i].value, &core->name);
    }
  }
}

// Each list once: a level without one of its own has that of the level above.
void warn_of_set_headers(ngx_conf_t* cf, const IdLocConf& prev, IdLocConf* conf) {
  const auto* srv = static_cast<const IdSrvConf*>(
      ngx_http_conf_get_module_srv_conf(cf, ngx_http_forktail_module));
  for (ngx_uint_t i = 0; srv->enabled == 1 && i < kHeaderSetters; ++i) {
    conf->set_headers[i] =
        foreign_list(cf, kSetters[i].module, kSetters[i].directive, ngx_conf_set_keyval_slot);
    if (conf->set_headers[i] != nullptr && conf->set_headers[i] != prev.set_headers[i]) {
      warn_of_set_header(cf, kSetters[i], *conf->set_headers[i], srv->header);
    }
  }
}

constexpr ngx_uint_t kHttpAndServer = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF;

}  // namespace

ngx_command_t ngx_http_forktail_commands[] = {
    {ngx_string("forktail"), kHttpAndServer | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_SRV_CONF_OFFSET, offsetof(IdSrvConf, enabled), nullptr},
    {ngx_string("forktail_header"), kHttpAndServer | NGX_CONF_TAKE1, ngx_http_forktail_set_header,
     NGX_HTTP_SRV_CONF_OFFSET, 0, nullptr},
    {ngx_string("forktail_format"), kHttpAndServer | NGX_CONF_TAKE1, ngx_http_forktail_set_format,
     NGX_HTTP_SRV_CONF_OFFSET, 0, nullptr},
    {ngx_string("forktail_trust"), kHttpAndServer | NGX_CONF_1MORE, ngx_http_forktail_set_trust,
     NGX_HTTP_SRV_CONF_OFFSET, 0, nullptr},
    {ngx_string("forktail_trace_context"), kHttpAndServer | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_SRV_CONF_OFFSET, offsetof(IdSrvConf, trace_context), nullptr},
    {ngx_string("forktail_response_header"), kHttpAndServer | NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1,
     ngx_http_forktail_set_response_header, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("forktail_error_log"), kHttpAndServer | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_SRV_CONF_OFFSET, offsetof(IdSrvConf, error_log), nullptr},
    {ngx_string("forktail_override_request_id"), NGX_HTTP_MAIN_CONF | NGX_CONF_FLAG,
     ngx_conf_set_flag_slot, NGX_HTTP_MAIN_CONF_OFFSET, offsetof(IdMainConf, override_request_id),
     nullptr},
    ngx_null_command};

void* ngx_http_forktail_create_main_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<IdMainConf*>(ngx_pcalloc(cf->pool, sizeof(IdMainConf)));
  if (conf != nullptr) {
    conf->override_request_id = NGX_CONF_UNSET;
  }
  return conf;
}

char* ngx_http_forktail_init_main_conf(ngx_conf_t*, void* conf) {
  ngx_conf_init_value(static_cast<IdMainConf*>(conf)->override_request_id, 1);
  return NGX_CONF_OK;
}

void* ngx_http_forktail_create_srv_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<IdSrvConf*>(ngx_pcalloc(cf->pool, sizeof(IdSrvConf)));
  if (conf != nullptr) {
    conf->enabled = NGX_CONF_UNSET;
    conf->format = NGX_CONF_UNSET_UINT;
    conf->trace_context = NGX_CONF_UNSET;
    conf->error_log = NGX_CONF_UNSET;
  }
  return conf;
}

char* ngx_http_forktail_merge_srv_conf(ngx_conf_t* cf, void* parent, void* child) {
  const auto* prev = static_cast<IdSrvConf*>(parent);
  auto* conf = static_cast<IdSrvConf*>(child);
  ngx_conf_merge_value(conf->enabled, prev->enabled, 0);
  ngx_conf_merge_uint_value(conf->format, prev->format, static_cast<ngx_uint_t>(id::Format::hex));
  ngx_conf_merge_value(conf->trace_context, prev->trace_context, 0);
  ngx_conf_merge_value(conf->error_log, prev->error_log, 1);
  if (conf->trust.cidrs == nullptr) {
    conf->trust = prev->trust;
  }
  if (conf->header.text.data == nullptr) {
    conf->header = prev->header;
  }
  if (conf->header.text.data == nullptr &&
      !make_header_name(cf->pool, ngx_string("X-Request-ID"), &conf->header)) {
    return kConfError;
  }
  return NGX_CONF_OK;
}

void* ngx_http_forktail_create_loc_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<IdLocConf*>(ngx_pcalloc(cf->pool, sizeof(IdLocConf)));
  if (conf != nullptr) {
    conf->response = NGX_CONF_UNSET;
  }
  return conf;
}

char* ngx_http_forktail_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child) {
  const auto* prev = static_cast<IdLocConf*>(parent);
  auto* conf = static_cast<IdLocConf*>(child);
  if (conf->response == NGX_CONF_UNSET) {
    *conf = *prev;
  }
  ngx_conf_init_value(conf->response, 1);
  warn_of_set_headers(cf, *prev, conf);
  return NGX_CONF_OK;
}

bool gives_ids(ngx_conf_t* cf) {
  const auto* conf = static_cast<const IdSrvConf*>(
      ngx_http_conf_get_module_srv_conf(cf, ngx_http_forktail_module));
  return conf->enabled == 1;
}

}  // namespace forktail
