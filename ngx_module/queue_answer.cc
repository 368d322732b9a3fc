#include "queue_answer.h"

#include "headers.h"
#include "queue_request.h"

namespace forktail {
namespace {

ngx_http_output_header_filter_pt g_next_header_filter;

// Not added when a request is refused: an error page may make another answer of that.
ngx_int_t ngx_http_forktail_queue_header_filter(ngx_http_request_t* r) {
  static const HeaderName name = {ngx_string("Retry-After"), ngx_string("retry-after"), 1};
  static const ngx_str_t seconds = ngx_string("1");
  const QueueTicket* refused = r->err_status == 0 ? nullptr : refused_ticket(r);
  if (refused == nullptr || static_cast<ngx_int_t>(r->err_status) != refused->refusal) {
    return g_next_header_filter(r);
  }
  bool said = false;
  each_header(r->headers_out.headers, [&said](const ngx_table_elt_t& one) {
    said = said || (one.hash != 0 && same_name(one.key, name));
  });
  if (!said && !push_header(r->headers_out.headers, r->pool, name, seconds)) {
    return NGX_ERROR;
  }
  return g_next_header_filter(r);
}

ngx_int_t ngx_http_forktail_queue_no_time(ngx_http_request_t*, ngx_http_variable_value_t* value,
                                          uintptr_t) {
  value->not_found = 1;
  return NGX_OK;
}

}  // namespace

ngx_int_t ngx_http_forktail_queue_add_variables(ngx_conf_t* cf) {
  ngx_str_t name = ngx_string("forktail_queue_time");
  ngx_http_variable_t* variable = ngx_http_add_variable(cf, &name, 0);
  if (variable == nullptr) {
    return NGX_ERROR;
  }
  variable->get_handler = ngx_http_forktail_queue_no_time;
  auto* conf = static_cast<QueueMainConf*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_queue_module));
  conf->queue_time = ngx_http_get_variable_index(cf, &name);
  return conf->queue_time == NGX_ERROR ? NGX_ERROR : NGX_OK;
}

void write_queue_time(ngx_http_request_t* r, ngx_msec_t waited) {
  if (r != r->main) {  // which shares its variables with its subrequests
    return;
  }
  auto* text = static_cast<u_char*>(ngx_pnalloc(r->pool, NGX_TIME_T_LEN + sizeof(".000") - 1));
  if (text == nullptr) {
    return;
  }
  ngx_http_variable_value_t* value = &r->variables[queue_main_conf(r)->queue_time];
  const u_char* end =
      ngx_sprintf(text, "%T.%03M", static_cast<time_t>(waited / 1000), waited % 1000);
  value->len = static_cast<unsigned>(end - text) & 0x0fffffff;
  value->valid = 1;
  value->no_cacheable = 0;
  value->not_found = 0;
  value->data = text;
}

void install_queue_filter() {
  g_next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = ngx_http_forktail_queue_header_filter;
}

}  // namespace forktail
