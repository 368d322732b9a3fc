#include "foreign_conf.h"
#include "pass.h"

namespace forktail {
namespace {

constexpr std::string_view kUwsgi = "ngx_http_uwsgi_module";

// A directive that both modules have, whose value is a word in either.
struct Shared {
  const char* name;
  Setter set;
  size_t offset;  // in our configuration
  uintptr_t standard;
};

#define FIELD(name) offsetof(PassLocConf, upstream.name)

constexpr Shared kShared[] = {
    {"connect_timeout", ngx_conf_set_msec_slot, FIELD(connect_timeout), kDefaultTimeout},
    {"send_timeout", ngx_conf_set_msec_slot, FIELD(send_timeout), kDefaultTimeout},
    {"read_timeout", ngx_conf_set_msec_slot, FIELD(read_timeout), kDefaultTimeout},
    {"buffering", ngx_conf_set_flag_slot, FIELD(buffering), 1},
    {"request_buffering", ngx_conf_set_flag_slot, FIELD(request_buffering), 1},
    {"intercept_errors", ngx_conf_set_flag_slot, FIELD(intercept_errors), 0},
    {"ignore_client_abort", ngx_conf_set_flag_slot, FIELD(ignore_client_abort), 0},
};

#undef FIELD

uintptr_t word_at(const void* place) { return *static_cast<const uintptr_t*>(place); }

// Set there to something, and not here.
bool is_lost(ngx_conf_t* cf, const PassLocConf* conf, const Shared& shared) {
  u_char name[64];
  const u_char* end = ngx_sprintf(name, "uwsgi_%s", shared.name);
  const std::string_view directive(reinterpret_cast<char*>(name), static_cast<size_t>(end - name));
  const void* theirs = foreign_value(cf, kUwsgi, directive, shared.set);
  const void* ours = reinterpret_cast<const char*>(conf) + shared.offset;
  return theirs != nullptr && word_at(theirs) != shared.standard &&
         word_at(theirs) != static_cast<uintptr_t>(NGX_CONF_UNSET) &&
         word_at(ours) == shared.standard;
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
      ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                         "\"uwsgi_%s\" does nothing in location \"%V\", whose requests go by "
                         "\"forktail_pass\": write \"forktail_%s\"",
                         shared.name, &core->name, shared.name);
    }
  }
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
