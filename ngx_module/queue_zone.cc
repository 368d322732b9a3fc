#include "queue_zone.h"

#include "pass.h"

namespace forktail {
namespace {

constexpr ngx_msec_t kDefaultTimeout = 60000;
constexpr ngx_int_t kMaxSize = 65535;
constexpr size_t kMinZonePages = 16;  // leaves room to raise SIZE by a reload

char* parse_zone(ngx_conf_t* cf, const ngx_str_t& argument, ngx_str_t value, QueueConf* conf) {
  constexpr const char* kCure = "a zone is NAME:SIZE, such as zone=app:64k, at least 8 pages large";
  auto* colon = static_cast<u_char*>(ngx_strlchr(value.data, value.data + value.len, ':'));
  if (colon == nullptr || colon == value.data) {
    return refuse_argument(cf, argument, kCure);
  }
  ngx_str_t size = {static_cast<size_t>(value.data + value.len - colon - 1), colon + 1};
  const ssize_t bytes = ngx_parse_size(&size);
  if (bytes < static_cast<ssize_t>(8 * ngx_pagesize)) {
    return refuse_argument(cf, argument, kCure);
  }
  conf->zone_name = {static_cast<size_t>(colon - value.data), value.data};
  conf->zone_size = static_cast<size_t>(bytes);
  return NGX_CONF_OK;
}

char* parse_argument(ngx_conf_t* cf, const ngx_str_t& argument, QueueConf* conf) {
  ngx_str_t value;
  if (take_key(argument, "active=", &value)) {
    const ngx_int_t limit = ngx_atoi(value.data, value.len);
    if (limit <= 0 || limit > kMaxSize) {
      return refuse_argument(cf, argument,
                             "active is 1 to 65535, four times the workers is a good one");
    }
    conf->limit = static_cast<ngx_uint_t>(limit);
    return NGX_CONF_OK;
  }
  if (take_key(argument, "timeout=", &value)) {
    const ngx_int_t timeout = ngx_parse_time(&value, 0);
    if (timeout == NGX_ERROR || timeout == 0) {
      return refuse_argument(cf, argument, "timeout is a time above 0, such as 500ms or 10s");
    }
    conf->timeout = static_cast<ngx_msec_t>(timeout);
    return NGX_CONF_OK;
  }
  if (take_key(argument, "zone=", &value)) {
    return parse_zone(cf, argument, value, conf);
  }
  return refuse_argument(cf, argument, "it knows active=N, timeout=T and zone=NAME:SIZE");
}

ngx_int_t init_zone(ngx_shm_zone_t* shm, void* old_data) {
  auto* zone = static_cast<QueueZone*>(shm->data);
  auto* pool = reinterpret_cast<ngx_slab_pool_t*>(shm->shm.addr);
  if (old_data != nullptr) {
    zone->fifo = static_cast<QueueZone*>(old_data)->fifo;
  } else if (shm->shm.exists) {
    zone->fifo = static_cast<QueueFifo*>(pool->data);
  } else {
    zone->fifo = QueueFifo::create(pool);
    pool->data = zone->fifo;
  }
  if (zone->fifo == nullptr || zone->fifo->capacity() < zone->size + zone->limit) {
    ngx_log_error(NGX_LOG_EMERG, shm->shm.log, 0,
                  "\"forktail_queue\" zone \"%V\" of %uz bytes holds %ui requests, but SIZE and "
                  "active are %ui together: give it a larger zone=NAME:SIZE",
                  &shm->shm.name, shm->shm.size, zone->fifo == nullptr ? 0 : zone->fifo->capacity(),
                  zone->size + zone->limit);
    return NGX_ERROR;
  }
  return NGX_OK;
}

// Doubled until it is enough, so that a small change of SIZE leaves a reloading nginx its zone.
size_t default_zone_size(const QueueConf& conf) {
  size_t size = kMinZonePages * ngx_pagesize;
  while (size < QueueFifo::bytes_for(conf.size + conf.limit) + kMinZonePages / 2 * ngx_pagesize) {
    size *= 2;
  }
  return size;
}

ngx_int_t default_zone_name(ngx_conf_t* cf, const ngx_str_t& target, ngx_str_t* name) {
  static constexpr std::string_view kPrefix = "forktail_queue:";
  name->len = kPrefix.size() + target.len;
  name->data = static_cast<u_char*>(ngx_pnalloc(cf->pool, name->len));
  if (name->data == nullptr) {
    return NGX_ERROR;
  }
  ngx_memcpy(ngx_cpymem(name->data, kPrefix.data(), kPrefix.size()), target.data, target.len);
  return NGX_OK;
}

QueueZone* new_zone(ngx_conf_t* cf, ngx_shm_zone_t* shm, const QueueConf& conf) {
  auto* zone = static_cast<QueueZone*>(ngx_pcalloc(cf->pool, sizeof(QueueZone)));
  if (zone == nullptr) {
    return nullptr;
  }
  zone->shm = shm;
  zone->size = conf.size;
  zone->limit = conf.limit;
  ngx_queue_init(&zone->line);
  shm->data = zone;
  shm->init = init_zone;

  auto* main_conf = static_cast<PassMainConf*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_pass_module));
  auto** listed = static_cast<QueueZone**>(ngx_array_push(&main_conf->zones));
  if (listed == nullptr) {
    return nullptr;
  }
  *listed = zone;
  return zone;
}

}  // namespace

char* ngx_http_forktail_queue_set(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  auto** slot = reinterpret_cast<QueueConf**>(static_cast<u_char*>(conf) + command->offset);
  if (*slot != nullptr) {
    return const_cast<char*>("is duplicate");
  }
  auto* queue = static_cast<QueueConf*>(ngx_pcalloc(cf->pool, sizeof(QueueConf)));
  if (queue == nullptr) {
    return kConfError;
  }
  *slot = queue;
  const auto* value = static_cast<ngx_str_t*>(cf->args->elts);
  if (cf->args->nelts == 2 && view(value[1]) == "off") {
    queue->off = true;
    return NGX_CONF_OK;
  }
  const ngx_int_t size = ngx_atoi(value[1].data, value[1].len);
  if (size < 0 || size > kMaxSize) {
    return refuse_argument(cf, value[1], "SIZE is how many requests may wait, 0 to 65535");
  }
  queue->size = static_cast<ngx_uint_t>(size);
  queue->timeout = kDefaultTimeout;
  for (ngx_uint_t i = 2; i < cf->args->nelts; i++) {
    char* rc = parse_argument(cf, value[i], queue);
    if (rc != NGX_CONF_OK) {
      return rc;
    }
  }
  if (queue->limit == 0) {
    return refuse_argument(cf, value[1], "say how many requests may be at the backend, active=N");
  }
  return NGX_CONF_OK;
}

QueueZone* add_queue_zone(ngx_conf_t* cf, const QueueConf& conf, const ngx_str_t& target) {
  ngx_str_t name = conf.zone_name;
  size_t size = conf.zone_size;
  if (name.len == 0) {
    if (target.len == 0) {
      ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                         "\"forktail_queue\" needs zone=NAME:SIZE here, since \"forktail_pass\" "
                         "has variables");
      return nullptr;
    }
    if (default_zone_name(cf, target, &name) != NGX_OK) {
      return nullptr;
    }
    size = default_zone_size(conf);
  }
  ngx_shm_zone_t* shm = ngx_shared_memory_add(cf, &name, size, &ngx_http_forktail_pass_module);
  if (shm == nullptr) {
    return nullptr;
  }
  if (shm->data == nullptr) {
    return new_zone(cf, shm, conf);
  }
  auto* zone = static_cast<QueueZone*>(shm->data);
  if (zone->size != conf.size || zone->limit != conf.limit) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"forktail_queue\" zone \"%V\" has SIZE %ui and active=%ui, and %ui and "
                       "active=%ui elsewhere: give both the same, or each a zone= of its own",
                       &name, zone->size, zone->limit, conf.size, conf.limit);
    return nullptr;
  }
  return zone;
}

}  // namespace forktail
