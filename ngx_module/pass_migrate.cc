#include "foreign_conf.h"
#include "pass.h"

namespace forktail {
namespace {

constexpr std::string_view kUwsgi = "ngx_http_uwsgi_module";

constexpr auto kUnset = static_cast<uintptr_t>(NGX_CONF_UNSET);
constexpr uintptr_t kDefaultNextUpstream =
    NGX_CONF_BITMASK_SET | NGX_HTTP_UPSTREAM_FT_ERROR | NGX_HTTP_UPSTREAM_FT_TIMEOUT;

// How the value of a directive that both modules have lies in memory, and what it is if not given.
enum class Form {
  kWord,       // a number, a flag, a mask or a pointer: `standard`
  kPage,       // a size: a page
  kPages,      // buffers: eight pages
  kText,       // `text`
  kProtocols,  // of TLS: those of one version of nginx or another
};

struct Shared {
  const char* name;
  Setter set;
  size_t offset;  // in our configuration
  uintptr_t standard = 0;
  Form form = Form::kWord;
  std::string_view text = {};
};

#define FIELD(name) offsetof(PassLocConf, upstream.name)

// Without the temporary files' path: many configurations give one for all modules, and forktail's
// is that of the requests' bodies.
constexpr Shared kShared[] = {
    {"modifier1", ngx_conf_set_num_slot, offsetof(PassLocConf, modifier1)},
    {"modifier2", ngx_conf_set_num_slot, offsetof(PassLocConf, modifier2)},
    {"connect_timeout", ngx_conf_set_msec_slot, FIELD(connect_timeout), kDefaultTimeout},
    {"send_timeout", ngx_conf_set_msec_slot, FIELD(send_timeout), kDefaultTimeout},
    {"read_timeout", ngx_conf_set_msec_slot, FIELD(read_timeout), kDefaultTimeout},
    {"buffering", ngx_conf_set_flag_slot, FIELD(buffering), 1},
    {"buffer_size", ngx_conf_set_size_slot, FIELD(buffer_size), 0, Form::kPage},
    {"buffers", ngx_conf_set_bufs_slot, FIELD(bufs), 0, Form::kPages},
    {"busy_buffers_size", ngx_conf_set_size_slot, FIELD(busy_buffers_size_conf)},
    {"max_temp_file_size", ngx_conf_set_size_slot, FIELD(max_temp_file_size_conf), kUnset},
    {"temp_file_write_size", ngx_conf_set_size_slot, FIELD(temp_file_write_size_conf)},
    {"limit_rate", kLimitRateSetter, FIELD(limit_rate)},
    {"force_ranges", ngx_conf_set_flag_slot, FIELD(force_ranges), 0},
    {"request_buffering", ngx_conf_set_flag_slot, FIELD(request_buffering), 1},
    {"pass_request_headers", ngx_conf_set_flag_slot, FIELD(pass_request_headers), 1},
    {"pass_request_body", ngx_conf_set_flag_slot, FIELD(pass_request_body), 1},
    {"ignore_client_abort", ngx_conf_set_flag_slot, FIELD(ignore_client_abort), 0},
    {"next_upstream", ngx_conf_set_bitmask_slot, FIELD(next_upstream), kDefaultNextUpstream},
    {"next_upstream_tries", ngx_conf_set_num_slot, FIELD(next_upstream_tries)},
    {"next_upstream_timeout", ngx_conf_set_msec_slot, FIELD(next_upstream_timeout)},
    {"intercept_errors", ngx_conf_set_flag_slot, FIELD(intercept_errors), 0},
    {"ignore_headers", ngx_conf_set_bitmask_slot, FIELD(ignore_headers), NGX_CONF_BITMASK_SET},
    {"hide_header", ngx_conf_set_str_array_slot, FIELD(hide_headers)},
    {"pass_header", ngx_conf_set_str_array_slot, FIELD(pass_headers)},
    {"bind", ngx_http_upstream_bind_set_slot, FIELD(local)},
    {"socket_keepalive", ngx_conf_set_flag_slot, FIELD(socket_keepalive), 0},
#if defined(FORKTAIL_SOCKET_BUFFERS)
    {"socket_rcvbuf", ngx_conf_set_size_slot, FIELD(socket_rcvbuf)},
    {"socket_sndbuf", ngx_conf_set_size_slot, FIELD(socket_sndbuf)},
#endif
#if defined(FORKTAIL_TLS)
    {"ssl_session_reuse", ngx_conf_set_flag_slot, FIELD(ssl_session_reuse), 1},
    {"ssl_protocols", ngx_conf_set_bitmask_slot, offsetof(PassLocConf, tls.protocols), 0,
     Form::kProtocols},
    {"ssl_ciphers", ngx_conf_set_str_slot, offsetof(PassLocConf, tls.ciphers), 0, Form::kText,
     "DEFAULT"},
    {"ssl_name", ngx_http_set_complex_value_slot, FIELD(ssl_name)},
    {"ssl_server_name", ngx_conf_set_flag_slot, FIELD(ssl_server_name), 0},
    {"ssl_verify", ngx_conf_set_flag_slot, FIELD(ssl_verify), 0},
    {"ssl_verify_depth", ngx_conf_set_num_slot, offsetof(PassLocConf, tls.verify_depth), 1},
    {"ssl_trusted_certificate", ngx_conf_set_str_slot,
     offsetof(PassLocConf, tls.trusted_certificate), 0, Form::kText},
    {"ssl_crl", ngx_conf_set_str_slot, offsetof(PassLocConf, tls.crl), 0, Form::kText},
    {"ssl_certificate", ngx_http_set_complex_value_zero_slot, FIELD(ssl_certificate)},
    {"ssl_certificate_key", ngx_http_set_complex_value_zero_slot, FIELD(ssl_certificate_key)},
    {"ssl_conf_command", ngx_conf_set_keyval_slot, offsetof(PassLocConf, tls.conf_commands)},
#endif
};

#undef FIELD

bool are_standard_protocols([[maybe_unused]] uintptr_t mask) {
#if defined(FORKTAIL_TLS)
  constexpr uintptr_t kNew = NGX_CONF_BITMASK_SET | NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3;
  constexpr uintptr_t kAll = kNew | NGX_SSL_TLSv1 | NGX_SSL_TLSv1_1;
  return mask == kNew || mask == kAll || mask == (kAll & ~uintptr_t{NGX_SSL_TLSv1_3});
#else
  return true;
#endif
}

bool is_standard(const Shared& shared, const void* place) {
  switch (shared.form) {
    case Form::kWord: {
      const auto word = *static_cast<const uintptr_t*>(place);
      return word == shared.standard || word == kUnset;
    }
    case Form::kPage:
      return *static_cast<const size_t*>(place) == ngx_pagesize;
    case Form::kPages: {
      const auto* bufs = static_cast<const ngx_bufs_t*>(place);
      return bufs->num == 8 && bufs->size == ngx_pagesize;
    }
    case Form::kText:
      return view(*static_cast<const ngx_str_t*>(place)) == shared.text;
    case Form::kProtocols:
      return are_standard_protocols(*static_cast<const uintptr_t*>(place));
  }
  return true;
}

// Set there to something, and not here.
bool is_lost(ngx_conf_t* cf, const PassLocConf* conf, const Shared& shared) {
  u_char name[64];
  const u_char* end = ngx_sprintf(name, "uwsgi_%s", shared.name);
  const std::string_view directive(reinterpret_cast<char*>(name), static_cast<size_t>(end - name));
  const void* theirs = foreign_value(cf, kUwsgi, directive, shared.set);
  uintptr_t mask = NGX_CONF_BITMASK_SET;  // which only a default has
  if (theirs != nullptr && shared.set == ngx_conf_set_bitmask_slot) {
    mask |= *static_cast<const uintptr_t*>(theirs);
    theirs = &mask;
  }
  return theirs != nullptr && !is_standard(shared, theirs) &&
         is_standard(shared, reinterpret_cast<const char*>(conf) + shared.offset);
}

template <typename T>
bool is_given(const T* pointer) {
  return pointer != nullptr && pointer != NGX_CONF_UNSET_PTR;
}

void warn(ngx_conf_t* cf, const ngx_http_core_loc_conf_t* core, const char* directive) {
  ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                     "\"uwsgi_%s\" does nothing in location \"%V\", whose requests go by "
                     "\"forktail_pass\": write \"forktail_%s\"",
                     directive, &core->name, directive);
}

void warn_of_no_namesake(ngx_conf_t* cf, const ngx_http_core_loc_conf_t* core,
                         const char* directive) {
  ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                     "\"uwsgi_%s\" does nothing in location \"%V\", whose requests go by "
                     "\"forktail_pass\": leave this location to \"uwsgi_pass\"",
                     directive, &core->name);
}

// Those that the uwsgi module sets by functions of its own, found by where nginx's own function
// puts another one.
void warn_of_their_own(ngx_conf_t* cf, const PassLocConf* conf,
                       const ngx_http_core_loc_conf_t* core) {
  const void* timeout = foreign_value(cf, kUwsgi, "uwsgi_connect_timeout", ngx_conf_set_msec_slot);
  if (timeout == nullptr) {
    return;
  }
  const auto* theirs = reinterpret_cast<const ngx_http_upstream_conf_t*>(
      static_cast<const char*>(timeout) - offsetof(ngx_http_upstream_conf_t, connect_timeout));
#if (NGX_HTTP_CACHE)
  if (theirs->cache == 1) {
    warn_of_no_namesake(cf, core, "cache");
  }
#endif
  if (theirs->store == 1) {
    warn_of_no_namesake(cf, core, "store");
  }
#if defined(FORKTAIL_TLS)
  if (is_given(theirs->ssl_passwords) && !is_given(conf->upstream.ssl_passwords)) {
    warn(cf, core, "ssl_password_file");
  }
#endif
#if defined(FORKTAIL_CERTIFICATE_CACHE)
  if (is_given(theirs->ssl_certificate_cache) && !is_given(conf->upstream.ssl_certificate_cache)) {
    warn(cf, core, "ssl_certificate_cache");
  }
#endif
}

bool has_param(const ngx_array_t* params, const ngx_str_t& name) {
  const auto* param =
      params == nullptr ? nullptr : static_cast<const ngx_http_upstream_param_t*>(params->elts);
  for (ngx_uint_t i = 0; params != nullptr && i < params->nelts; ++i) {
    if (view(param[i].key) == view(name)) {
      return true;
    }
  }
  return false;
}

}  // namespace

void warn_of_uwsgi(ngx_conf_t* cf, const PassLocConf* conf) {
  const auto* core = static_cast<const ngx_http_core_loc_conf_t*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  if (core->noname) {  // an `if` or limit_except block: the location around it is warned of
    return;
  }
  for (const Shared& shared : kShared) {
    if (is_lost(cf, conf, shared)) {
      warn(cf, core, shared.name);
    }
  }
  warn_of_their_own(cf, conf, core);
  const ngx_array_t* params =
      foreign_list(cf, kUwsgi, "uwsgi_param", ngx_http_upstream_param_set_slot);
  const auto* param =
      params == nullptr ? nullptr : static_cast<const ngx_http_upstream_param_t*>(params->elts);
  for (ngx_uint_t i = 0; params != nullptr && i < params->nelts; ++i) {
    if (!is_sent_anyway(param[i].key, param[i].value) &&
        !has_param(conf->params_source, param[i].key)) {
      ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                         "\"uwsgi_param %V\" does nothing in location \"%V\", whose requests go by "
                         "\"forktail_pass\": write \"forktail_param %V\"",
                         &param[i].key, &core->name, &param[i].key);
    }
  }
}

}  // namespace forktail
