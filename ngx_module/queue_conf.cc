#include "queue_conf.h"

#include "conf_args.h"
#include "queue_report.h"

namespace forktail {
namespace {

constexpr ngx_msec_t kDefaultTimeout = 60000;
constexpr ngx_int_t kMaxSize = 65535;
constexpr ngx_uint_t kAnywhere = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

char* parse_zone(ngx_conf_t* cf, const ngx_str_t& whole, ngx_str_t value, QueueArgs* args) {
  constexpr const char* kCure = "a zone is NAME:SIZE, such as zone=app:64k, at least 8 pages large";
  auto* colon = static_cast<u_char*>(ngx_strlchr(value.data, value.data + value.len, ':'));
  if (colon == nullptr || colon == value.data) {
    return refuse_argument(cf, whole, kCure);
  }
  ngx_str_t size = {static_cast<size_t>(value.data + value.len - colon - 1), colon + 1};
  const ssize_t bytes = ngx_parse_size(&size);
  if (bytes < static_cast<ssize_t>(8 * ngx_pagesize)) {
    return refuse_argument(cf, whole, kCure);
  }
  args->zone_name = {static_cast<size_t>(colon - value.data), value.data};
  args->zone_size = static_cast<size_t>(bytes);
  return NGX_CONF_OK;
}

char* parse_argument(ngx_conf_t* cf, const ngx_str_t& whole, QueueArgs* args) {
  ngx_str_t value;
  if (take_key(whole, "active=", &value)) {
    const ngx_int_t limit = ngx_atoi(value.data, value.len);
    if (limit <= 0 || limit > kMaxSize) {
      return refuse_argument(cf, whole,
                             "active is 1 to 65535, four times the workers is a good one");
    }
    args->limit = static_cast<ngx_uint_t>(limit);
    return NGX_CONF_OK;
  }
  if (take_key(whole, "timeout=", &value)) {
    const ngx_int_t timeout = ngx_parse_time(&value, 0);
    if (timeout == NGX_ERROR || timeout == 0) {
      return refuse_argument(cf, whole, "timeout is a time above 0, such as 500ms or 10s");
    }
    args->timeout = static_cast<ngx_msec_t>(timeout);
    return NGX_CONF_OK;
  }
  if (take_key(whole, "zone=", &value)) {
    return parse_zone(cf, whole, value, args);
  }
  return refuse_argument(cf, whole, "it knows active=N, timeout=T and zone=NAME:SIZE");
}

char* parse_arguments(ngx_conf_t* cf, QueueArgs* args) {
  const ngx_str_t& first = argument(cf, 1);
  if (cf->args->nelts == 2 && view(first) == "off") {
    args->off = true;
    return NGX_CONF_OK;
  }
  const ngx_int_t size = ngx_atoi(first.data, first.len);
  if (size < 0 || size > kMaxSize) {
    return refuse_argument(cf, first, "SIZE is how many requests may wait, 0 to 65535");
  }
  args->size = static_cast<ngx_uint_t>(size);
  args->timeout = kDefaultTimeout;
  for (ngx_uint_t i = 2; i < cf->args->nelts; ++i) {
    char* rc = parse_argument(cf, argument(cf, i), args);
    if (rc != NGX_CONF_OK) {
      return rc;
    }
  }
  if (args->limit == 0) {
    return refuse_argument(cf, first, "say how many requests may be at the backend, active=N");
  }
  return NGX_CONF_OK;
}

char* ngx_http_forktail_queue_set(ngx_conf_t* cf, ngx_command_t*, void* loc_conf) {
  auto* conf = static_cast<QueueLocConf*>(loc_conf);
  if (conf->given_here) {
    return kIsDuplicate;
  }
  auto* args = static_cast<QueueArgs*>(ngx_pcalloc(cf->pool, sizeof(QueueArgs)));
  if (args == nullptr) {
    return kConfError;
  }
  conf->args = args;
  conf->given_here = true;
  return parse_arguments(cf, args);
}

// In an upstream block, which is named before its inside is read.
char* ngx_http_forktail_queue_set_upstream(ngx_conf_t* cf, ngx_command_t*, void* srv_conf) {
  auto* conf = static_cast<QueueSrvConf*>(srv_conf);
  if (conf->given) {
    return kIsDuplicate;
  }
  conf->given = true;
  QueueArgs args = {};
  char* rc = parse_arguments(cf, &args);
  if (rc != NGX_CONF_OK || args.off) {
    return rc;
  }
  const auto* upstream = static_cast<const ngx_http_upstream_srv_conf_t*>(
      ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module));
  conf->queue = {add_queue_zone(cf, args, &upstream->host), args.timeout};
  return conf->queue.zone == nullptr ? kConfError : NGX_CONF_OK;
}

ngx_conf_num_bounds_t g_status_bounds = {ngx_conf_check_num_bounds, 400, 599};

ngx_conf_enum_t g_log_levels[] = {{ngx_string("info"), NGX_LOG_INFO},
                                  {ngx_string("notice"), NGX_LOG_NOTICE},
                                  {ngx_string("warn"), NGX_LOG_WARN},
                                  {ngx_string("error"), NGX_LOG_ERR},
                                  {ngx_null_string, 0}};

QueueLocConf* loc_conf_of(ngx_conf_t* cf) {
  return static_cast<QueueLocConf*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_forktail_queue_module));
}

}  // namespace

ngx_command_t ngx_http_forktail_queue_commands[] = {
    {ngx_string("forktail_queue"), kAnywhere | NGX_CONF_1MORE, ngx_http_forktail_queue_set,
     NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("forktail_queue"), NGX_HTTP_UPS_CONF | NGX_CONF_1MORE,
     ngx_http_forktail_queue_set_upstream, NGX_HTTP_SRV_CONF_OFFSET, 0, nullptr},
    {ngx_string("forktail_queue_status"), kAnywhere | NGX_CONF_TAKE1, ngx_conf_set_num_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(QueueLocConf, status), &g_status_bounds},
    {ngx_string("forktail_queue_log_level"), kAnywhere | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(QueueLocConf, log_level), &g_log_levels},
    {ngx_string("forktail_queue_report"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_forktail_queue_report_set, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    ngx_null_command};

void* ngx_http_forktail_queue_create_main_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<QueueMainConf*>(ngx_pcalloc(cf->pool, sizeof(QueueMainConf)));
  if (conf == nullptr || ngx_array_init(&conf->zones, cf->pool, 1, sizeof(void*)) != NGX_OK) {
    return nullptr;
  }
  return conf;
}

void* ngx_http_forktail_queue_create_srv_conf(ngx_conf_t* cf) {
  return ngx_pcalloc(cf->pool, sizeof(QueueSrvConf));
}

void* ngx_http_forktail_queue_create_loc_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<QueueLocConf*>(ngx_pcalloc(cf->pool, sizeof(QueueLocConf)));
  if (conf != nullptr) {
    conf->status = NGX_CONF_UNSET_UINT;
    conf->log_level = NGX_CONF_UNSET_UINT;
  }
  return conf;
}

char* ngx_http_forktail_queue_merge_loc_conf(ngx_conf_t*, void* parent, void* child) {
  const auto* prev = static_cast<QueueLocConf*>(parent);
  auto* conf = static_cast<QueueLocConf*>(child);
  if (conf->args == nullptr) {
    conf->args = prev->args;
  }
  ngx_conf_merge_uint_value(conf->status, prev->status, NGX_HTTP_SERVICE_UNAVAILABLE);
  ngx_conf_merge_uint_value(conf->log_level, prev->log_level, NGX_LOG_ERR);
  return NGX_CONF_OK;
}

ngx_int_t choose_queue(ngx_conf_t* cf, const ngx_str_t* target, Queue* queue) {
  const QueueArgs* args = loc_conf_of(cf)->args;
  *queue = {};
  if (args == nullptr || args->off) {
    return NGX_OK;
  }
  *queue = {add_queue_zone(cf, *args, target), args->timeout};
  return queue->zone == nullptr ? NGX_ERROR : NGX_OK;
}

const Queue* queue_of(const ngx_http_upstream_srv_conf_t* upstream) {
  if (upstream == nullptr || upstream->srv_conf == nullptr) {
    return nullptr;
  }
  const auto* conf = static_cast<const QueueSrvConf*>(
      upstream->srv_conf[ngx_http_forktail_queue_module.ctx_index]);
  return conf->queue.zone == nullptr ? nullptr : &conf->queue;
}

bool has_own_queue(ngx_conf_t* cf) { return loc_conf_of(cf)->given_here; }

bool has_queue_args(ngx_conf_t* cf) { return loc_conf_of(cf)->args != nullptr; }

}  // namespace forktail
