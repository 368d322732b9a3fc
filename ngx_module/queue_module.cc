// The queue part as nginx sees it: an HTTP module whose queues outlive its workers.
#include "queue_answer.h"
#include "queue_conf.h"
#include "queue_request.h"
#include "queue_seats.h"
#include "queue_sweep.h"

namespace forktail {
namespace {

const QueueMainConf* main_conf_of(const ngx_cycle_t* cycle) {
  return static_cast<const QueueMainConf*>(
      ngx_http_cycle_get_module_main_conf(cycle, ngx_http_forktail_queue_module));
}

template <typename Function>
void for_each_zone(const ngx_cycle_t* cycle, Function function) {
  const QueueMainConf* conf = main_conf_of(cycle);
  auto** zones = static_cast<QueueZone**>(conf->zones.elts);
  for (ngx_uint_t i = 0; i < conf->zones.nelts; ++i) {
    function(zones[i]);
  }
}

void on_wake() { for_each_zone(const_cast<const ngx_cycle_t*>(ngx_cycle), advance_line); }

ngx_int_t ngx_http_forktail_queue_init(ngx_conf_t* cf) {
  const auto* conf = static_cast<const QueueMainConf*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_queue_module));
  // Without a queue, too: the chain of filters is the process's, and a configuration that is
  // refused must leave behind what the one before it needs.
  install_queue_filter();
  return conf->zones.nelts == 0 ? NGX_OK : prepare_seats(cf);
}

// In the master, when nothing can fail any more: gives all queues their limits.
ngx_int_t ngx_http_forktail_queue_init_module(ngx_cycle_t* cycle) {
  if (main_conf_of(cycle) != nullptr) {
    for_each_zone(cycle, [](QueueZone* zone) { zone->fifo->configure(zone->limit, zone->size); });
  }
  return NGX_OK;
}

// A worker takes its seat, and cleans up after workers that died.
ngx_int_t ngx_http_forktail_queue_init_process(ngx_cycle_t* cycle) {
  const bool serves = ngx_process == NGX_PROCESS_WORKER || ngx_process == NGX_PROCESS_SINGLE;
  if (!serves || main_conf_of(cycle) == nullptr || main_conf_of(cycle)->zones.nelts == 0) {
    return NGX_OK;
  }
  if (take_seat(cycle, on_wake) != NGX_OK) {
    return NGX_ERROR;
  }
  for_each_zone(cycle, sweep_at_start);
  return NGX_OK;
}

ngx_http_module_t g_context = {
    ngx_http_forktail_queue_add_variables,    ngx_http_forktail_queue_init,
    ngx_http_forktail_queue_create_main_conf, nullptr,
    ngx_http_forktail_queue_create_srv_conf,  nullptr,
    ngx_http_forktail_queue_create_loc_conf,  ngx_http_forktail_queue_merge_loc_conf};

}  // namespace
}  // namespace forktail

extern "C" {
ngx_module_t ngx_http_forktail_queue_module = {NGX_MODULE_V1,
                                               &forktail::g_context,
                                               forktail::ngx_http_forktail_queue_commands,
                                               NGX_HTTP_MODULE,
                                               nullptr,
                                               forktail::ngx_http_forktail_queue_init_module,
                                               forktail::ngx_http_forktail_queue_init_process,
                                               nullptr,
                                               nullptr,
                                               nullptr,
                                               nullptr,
                                               NGX_MODULE_V1_PADDING};
}
