#include "queue_zone.h"

#include "conf_args.h"
#include "queue_conf.h"

namespace forktail {
namespace {

constexpr size_t kMinZonePages = 16;  // leaves room to raise SIZE by a reload

ngx_int_t ngx_http_forktail_queue_init_zone(ngx_shm_zone_t* shm, void* old_data) {
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
  if (zone->fifo != nullptr && !zone->fifo->sound()) {
    ngx_log_error(NGX_LOG_EMERG, shm->shm.log, 0,
                  "\"forktail_queue\" zone \"%V\" holds something else than a queue: a worker has "
                  "written over it; restart nginx",
                  &shm->shm.name);
    return NGX_ERROR;
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
size_t default_zone_size(const QueueArgs& args) {
  size_t size = kMinZonePages * ngx_pagesize;
  while (size < QueueFifo::bytes_for(args.size + args.limit) + kMinZonePages / 2 * ngx_pagesize) {
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

QueueMainConf* main_conf_of(ngx_conf_t* cf) {
  return static_cast<QueueMainConf*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_queue_module));
}

QueueZone* find_zone(ngx_conf_t* cf, const ngx_str_t& name) {
  const ngx_array_t& zones = main_conf_of(cf)->zones;
  auto** listed = static_cast<QueueZone**>(zones.elts);
  for (ngx_uint_t i = 0; i < zones.nelts; ++i) {
    if (view(listed[i]->shm->shm.name) == view(name)) {
      return listed[i];
    }
  }
  return nullptr;
}

QueueZone* new_zone(ngx_conf_t* cf, ngx_str_t name, size_t bytes, const QueueArgs& args) {
  auto* zone = static_cast<QueueZone*>(ngx_pcalloc(cf->pool, sizeof(QueueZone)));
  auto* line = static_cast<QueueLine*>(ngx_pcalloc(cf->pool, sizeof(QueueLine)));
  if (zone == nullptr || line == nullptr) {
    return nullptr;
  }
  line->ident = {};
  line->zone = zone;
  ngx_queue_init(&line->tickets);
  zone->line = line;
  zone->size = args.size;
  zone->limit = args.limit;
  zone->shm = ngx_shared_memory_add(cf, &name, bytes, &ngx_http_forktail_queue_module);
  if (zone->shm == nullptr) {
    return nullptr;
  }
  zone->shm->data = zone;
  zone->shm->init = ngx_http_forktail_queue_init_zone;

  auto** listed = static_cast<QueueZone**>(ngx_array_push(&main_conf_of(cf)->zones));
  if (listed == nullptr) {
    return nullptr;
  }
  *listed = zone;
  return zone;
}

// Looked at before nginx is asked for the zone again: it would complain of a size in bytes, which
// mostly nobody wrote.
bool agree(ngx_conf_t* cf, const QueueZone& zone, const QueueArgs& args) {
  const ngx_str_t& name = zone.shm->shm.name;
  if (zone.size != args.size || zone.limit != args.limit) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"forktail_queue\" zone \"%V\" has SIZE %ui and active=%ui, and %ui and "
                       "active=%ui elsewhere: give both the same, or each a zone= of its own",
                       &name, zone.size, zone.limit, args.size, args.limit);
    return false;
  }
  if (args.zone_size != 0 && args.zone_size != zone.shm->shm.size) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"forktail_queue\" zone \"%V\" is %uz bytes large, and %uz elsewhere: give "
                       "both the same zone=NAME:SIZE",
                       &name, zone.shm->shm.size, args.zone_size);
    return false;
  }
  return true;
}

}  // namespace

QueueZone* add_queue_zone(ngx_conf_t* cf, const QueueArgs& args, const ngx_str_t* target) {
  ngx_str_t name = args.zone_name;
  size_t bytes = args.zone_size;
  if (name.len == 0) {
    if (target == nullptr) {
      ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                         "\"forktail_queue\" needs zone=NAME:SIZE here, since \"forktail_pass\" "
                         "has variables");
      return nullptr;
    }
    if (default_zone_name(cf, *target, &name) != NGX_OK) {
      return nullptr;
    }
    bytes = default_zone_size(args);
  }
  QueueZone* zone = find_zone(cf, name);
  if (zone == nullptr) {
    return new_zone(cf, name, bytes, args);
  }
  return agree(cf, *zone, args) ? zone : nullptr;
}

}  // namespace forktail
