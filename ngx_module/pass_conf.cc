#include "conf_args.h"
#include "pass.h"

namespace forktail {
namespace {

constexpr size_t kDefaultMaxTempFile = size_t{1} << 30;

// The first one only where the id part sets it, or another header in its place.
ngx_str_t g_hidden_headers[] = {ngx_string("X-Request-ID"),
                                ngx_string("X-Accel-Expires"),
                                ngx_string("X-Accel-Redirect"),
                                ngx_string("X-Accel-Limit-Rate"),
                                ngx_string("X-Accel-Buffering"),
                                ngx_string("X-Accel-Charset"),
                                ngx_null_string};

bool passes(const PassLocConf& conf) {
  return conf.upstream.upstream != nullptr || conf.target != nullptr;
}

void merge_flags(const ngx_http_upstream_conf_t& prev, ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_value(conf->buffering, prev.buffering, 1);
  ngx_conf_merge_value(conf->request_buffering, prev.request_buffering, 1);
  ngx_conf_merge_value(conf->ignore_client_abort, prev.ignore_client_abort, 0);
  ngx_conf_merge_value(conf->intercept_errors, prev.intercept_errors, 0);
  ngx_conf_merge_value(conf->pass_request_headers, prev.pass_request_headers, 1);
  ngx_conf_merge_value(conf->pass_request_body, prev.pass_request_body, 1);
  ngx_conf_merge_value(conf->force_ranges, prev.force_ranges, 0);
  ngx_conf_merge_value(conf->socket_keepalive, prev.socket_keepalive, 0);
  ngx_conf_merge_ptr_value(conf->local, prev.local, nullptr);
}

void merge_limits(const ngx_http_upstream_conf_t& prev, ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_msec_value(conf->connect_timeout, prev.connect_timeout, kDefaultTimeout);
  ngx_conf_merge_msec_value(conf->send_timeout, prev.send_timeout, kDefaultTimeout);
  ngx_conf_merge_msec_value(conf->read_timeout, prev.read_timeout, kDefaultTimeout);
  ngx_conf_merge_msec_value(conf->next_upstream_timeout, prev.next_upstream_timeout, 0);
  ngx_conf_merge_uint_value(conf->next_upstream_tries, prev.next_upstream_tries, 0);
  merge_limit_rate(prev, conf);
  merge_socket_buffers(prev, conf);
}

char* refuse_size(ngx_conf_t* cf, const char* directive, size_t value, const char* cure,
                  size_t bound) {
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s\" is %uz: it must be %s %uz", directive, value,
                     cure, bound);
  return kConfError;
}

char* merge_buffers(ngx_conf_t* cf, const ngx_http_upstream_conf_t& prev,
                    ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_size_value(conf->buffer_size, prev.buffer_size, ngx_pagesize);
  ngx_conf_merge_bufs_value(conf->bufs, prev.bufs, 8, ngx_pagesize);
  if (conf->bufs.num < 2) {
    return refuse_size(cf, "forktail_buffers", static_cast<size_t>(conf->bufs.num),
                       "in number at least", 2);
  }
  const size_t largest = ngx_max(conf->buffer_size, conf->bufs.size);

  ngx_conf_merge_size_value(conf->busy_buffers_size_conf, prev.busy_buffers_size_conf,
                            NGX_CONF_UNSET_SIZE);
  conf->busy_buffers_size = conf->busy_buffers_size_conf;
  ngx_conf_init_size_value(conf->busy_buffers_size, 2 * largest);
  if (conf->busy_buffers_size < largest) {
    return refuse_size(cf, "forktail_busy_buffers_size", conf->busy_buffers_size,
                       "at least the larger of forktail_buffer_size and one of forktail_buffers,",
                       largest);
  }
  const size_t all_but_one = static_cast<size_t>(conf->bufs.num - 1) * conf->bufs.size;
  if (conf->busy_buffers_size > all_but_one) {
    return refuse_size(cf, "forktail_busy_buffers_size", conf->busy_buffers_size,
                       "at most all of forktail_buffers but one,", all_but_one);
  }

  ngx_conf_merge_size_value(conf->temp_file_write_size_conf, prev.temp_file_write_size_conf,
                            NGX_CONF_UNSET_SIZE);
  conf->temp_file_write_size = conf->temp_file_write_size_conf;
  ngx_conf_init_size_value(conf->temp_file_write_size, 2 * largest);
  if (conf->temp_file_write_size < largest) {
    return refuse_size(cf, "forktail_temp_file_write_size", conf->temp_file_write_size,
                       "at least the larger of forktail_buffer_size and one of forktail_buffers,",
                       largest);
  }

  ngx_conf_merge_size_value(conf->max_temp_file_size_conf, prev.max_temp_file_size_conf,
                            NGX_CONF_UNSET_SIZE);
  conf->max_temp_file_size = conf->max_temp_file_size_conf;
  ngx_conf_init_size_value(conf->max_temp_file_size, kDefaultMaxTempFile);
  if (conf->max_temp_file_size != 0 && conf->max_temp_file_size < largest) {
    return refuse_size(cf, "forktail_max_temp_file_size", conf->max_temp_file_size,
                       "0 for no temporary files, or at least the larger of forktail_buffer_size "
                       "and one of forktail_buffers,",
                       largest);
  }
  return NGX_CONF_OK;
}

// The default is the directory for request bodies: one of its own would have to be made wherever
// the module is only loaded, also by those who may not.
void merge_temp_path(ngx_conf_t* cf, const PassLocConf& prev, PassLocConf* conf) {
  const auto* core = static_cast<const ngx_http_core_loc_conf_t*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  if (conf->temp_path == nullptr) {
    conf->temp_path = prev.temp_path;
  }
  conf->upstream.temp_path =
      conf->temp_path != nullptr ? conf->temp_path : core->client_body_temp_path;
}

void merge_masks(const ngx_http_upstream_conf_t& prev, ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_bitmask_value(conf->ignore_headers, prev.ignore_headers, NGX_CONF_BITMASK_SET);
  ngx_conf_merge_bitmask_value(
      conf->next_upstream, prev.next_upstream,
      NGX_CONF_BITMASK_SET | NGX_HTTP_UPSTREAM_FT_ERROR | NGX_HTTP_UPSTREAM_FT_TIMEOUT);
  if (conf->next_upstream & NGX_HTTP_UPSTREAM_FT_OFF) {
    conf->next_upstream = NGX_CONF_BITMASK_SET | NGX_HTTP_UPSTREAM_FT_OFF;
  }
}

// nginx shares the table of the level above, which it makes when the first server is merged. One
// server may give ids and another none: then the table is no use to this one.
ngx_int_t merge_hidden_headers(ngx_conf_t* cf, PassLocConf* prev, PassLocConf* conf) {
  conf->hides_id = gives_ids(cf);
  ngx_http_upstream_conf_t above = prev->upstream;
  const bool made_above = above.hide_headers_hash.buckets != nullptr;
  if (prev->hides_id != conf->hides_id) {
    above.hide_headers_hash = {};
  }
  ngx_hash_init_t hash = {};
  hash.max_size = 512;
  hash.bucket_size = ngx_align(64, ngx_cacheline_size);
  hash.name = const_cast<char*>("forktail_hide_headers_hash");
  ngx_str_t* hidden = conf->hides_id ? g_hidden_headers : g_hidden_headers + 1;
  if (ngx_http_upstream_hide_headers_hash(cf, &conf->upstream, &above, hidden, &hash) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!made_above) {
    prev->upstream.hide_headers_hash = above.hide_headers_hash;
    prev->hides_id = conf->hides_id;
  }
  return NGX_OK;
}

// An `if` block and a limit_except block pass where the location around them does.
void inherit_target(ngx_conf_t* cf, const PassLocConf& prev, PassLocConf* conf) {
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  if (core->noname && !passes(*conf)) {
    conf->upstream.upstream = prev.upstream.upstream;
    conf->target = prev.target;
    conf->target_name = prev.target_name;
    conf->tls.wanted = prev.tls.wanted;
  }
  if (core->lmt_excpt && core->handler == nullptr && passes(*conf)) {
    core->handler = ngx_http_forktail_pass_handler;
  }
}

// A level without forktail_param of its own shares the list of the level above.
ngx_int_t merge_params(ngx_conf_t* cf, PassLocConf* prev, PassLocConf* conf) {
  if (conf->params_source == nullptr) {
    if (prev->params == nullptr) {
      prev->params = make_params(cf, prev->params_source);
    }
    conf->params_source = prev->params_source;
    conf->params = prev->params;
  } else {
    conf->params = make_params(cf, conf->params_source);
  }
  return conf->params == nullptr ? NGX_ERROR : NGX_OK;
}

ngx_int_t merge_queue(ngx_conf_t* cf, PassLocConf* conf) {
  if (!passes(*conf)) {
    const auto* core = static_cast<const ngx_http_core_loc_conf_t*>(
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    if (has_own_queue(cf) && core->handler != nullptr) {
      ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                         "\"forktail_queue\" does nothing in location \"%V\": its requests do not "
                         "go by \"forktail_pass\"",
                         &core->name);
    }
    return NGX_OK;
  }
  conf->asks_upstream = !has_queue_args(cf);
  if (conf->asks_upstream) {
    const Queue* queue = queue_of(conf->upstream.upstream);
    conf->queue = queue == nullptr ? Queue{} : *queue;
    return NGX_OK;
  }
  return choose_queue(cf, conf->target == nullptr ? &conf->target_name : nullptr, &conf->queue);
}

char* compile_target(ngx_conf_t* cf, ngx_str_t* text, PassLocConf* conf) {
  conf->target =
      static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(*conf->target)));
  if (conf->target == nullptr) {
    return kConfError;
  }
  ngx_http_compile_complex_value_t compile = {};
  compile.cf = cf;
  compile.value = text;
  compile.complex_value = conf->target;
  conf->tls.wanted = true;
  return ngx_http_compile_complex_value(&compile) == NGX_OK ? NGX_CONF_OK : kConfError;
}

}  // namespace

void* ngx_http_forktail_pass_create_loc_conf(ngx_conf_t* cf) {
  auto* conf = static_cast<PassLocConf*>(ngx_pcalloc(cf->pool, sizeof(PassLocConf)));
  if (conf == nullptr) {
    return nullptr;
  }
  conf->modifier1 = NGX_CONF_UNSET_UINT;
  conf->modifier2 = NGX_CONF_UNSET_UINT;

  ngx_http_upstream_conf_t& upstream = conf->upstream;
  upstream.buffering = NGX_CONF_UNSET;
  upstream.request_buffering = NGX_CONF_UNSET;
  upstream.ignore_client_abort = NGX_CONF_UNSET;
  upstream.intercept_errors = NGX_CONF_UNSET;
  upstream.pass_request_headers = NGX_CONF_UNSET;
  upstream.pass_request_body = NGX_CONF_UNSET;
  upstream.force_ranges = NGX_CONF_UNSET;
  upstream.socket_keepalive = NGX_CONF_UNSET;
  upstream.local = static_cast<ngx_http_upstream_local_t*>(NGX_CONF_UNSET_PTR);
  upstream.connect_timeout = NGX_CONF_UNSET_MSEC;
  upstream.send_timeout = NGX_CONF_UNSET_MSEC;
  upstream.read_timeout = NGX_CONF_UNSET_MSEC;
  upstream.next_upstream_timeout = NGX_CONF_UNSET_MSEC;
  upstream.next_upstream_tries = NGX_CONF_UNSET_UINT;
  unset_limit_rate(&upstream);
  unset_socket_buffers(&upstream);
  upstream.buffer_size = NGX_CONF_UNSET_SIZE;
  upstream.busy_buffers_size_conf = NGX_CONF_UNSET_SIZE;
  upstream.temp_file_write_size_conf = NGX_CONF_UNSET_SIZE;
  upstream.max_temp_file_size_conf = NGX_CONF_UNSET_SIZE;
  upstream.hide_headers = static_cast<ngx_array_t*>(NGX_CONF_UNSET_PTR);
  upstream.pass_headers = static_cast<ngx_array_t*>(NGX_CONF_UNSET_PTR);
  upstream.change_buffering = 1;
  ngx_str_set(&upstream.module, "forktail");
  init_tls(conf);
  return conf;
}

char* ngx_http_forktail_pass_merge_loc_conf(ngx_conf_t* cf, void* parent, void* child) {
  auto* prev = static_cast<PassLocConf*>(parent);
  auto* conf = static_cast<PassLocConf*>(child);
  ngx_conf_merge_uint_value(conf->modifier1, prev->modifier1, 0);
  ngx_conf_merge_uint_value(conf->modifier2, prev->modifier2, 0);
  merge_flags(prev->upstream, &conf->upstream);
  merge_limits(prev->upstream, &conf->upstream);
  merge_masks(prev->upstream, &conf->upstream);
  char* rc = merge_buffers(cf, prev->upstream, &conf->upstream);
  if (rc != NGX_CONF_OK) {
    return rc;
  }
  merge_temp_path(cf, *prev, conf);
  inherit_target(cf, *prev, conf);
  conf->keeps = keeps_connections(*static_cast<PassMainConf*>(ngx_http_conf_get_module_main_conf(
                                      cf, ngx_http_forktail_pass_module)),
                                  conf->upstream.upstream);
  if (merge_hidden_headers(cf, prev, conf) != NGX_OK || merge_tls(cf, *prev, conf) != NGX_OK ||
      merge_params(cf, prev, conf) != NGX_OK || merge_queue(cf, conf) != NGX_OK) {
    return kConfError;
  }
  if (passes(*conf)) {
    warn_of_uwsgi(cf, conf);
  }
  return NGX_CONF_OK;
}

char* ngx_http_forktail_pass_set(ngx_conf_t* cf, ngx_command_t*, void* pass) {
  auto* conf = static_cast<PassLocConf*>(pass);
  if (passes(*conf)) {
    return kIsDuplicate;
  }
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  core->handler = ngx_http_forktail_pass_handler;

  ngx_str_t* text = &argument(cf, 1);
  if (ngx_http_script_variables_count(text) != 0) {
    return compile_target(cf, text, conf);
  }
  ngx_url_t url = {};
  url.url = *text;
  url.no_resolve = 1;
  conf->tls.wanted = take_scheme(&url.url);
  conf->target_name = url.url;
  conf->upstream.upstream = ngx_http_upstream_add(cf, &url, 0);
  if (conf->upstream.upstream == nullptr) {
    return kConfError;
  }
  if (core->name.len != 0 && core->name.data[core->name.len - 1] == '/') {
    core->auto_redirect = 1;
  }
  return NGX_CONF_OK;
}

}  // namespace forktail
