#include "queue_report.h"

#include "queue_conf.h"

namespace forktail {
namespace {

// `text` as the inside of a JSON string; zone names can hold anything that a configuration can.
u_char* put_escaped(u_char* out, const ngx_str_t& text) {
  for (size_t i = 0; i < text.len; ++i) {
    const u_char c = text.data[i];
    if (c == '"' || c == '\\' || c < 0x20) {
      out = ngx_sprintf(out, "\\u%04xd", static_cast<unsigned>(c));
    } else {
      *out++ = c;
    }
  }
  return out;
}

u_char* put_zone(u_char* out, const QueueZone* zone) {
  const QueueFifo::Status s = zone->fifo->status();
  *out++ = '"';
  out = put_escaped(out, zone->shm->shm.name);
  return ngx_sprintf(out,
                     "\":{\"size\":%ui,\"limit\":%ui,\"active\":%ui,\"waiting\":%ui,"
                     "\"admitted\":%uL,\"waited\":%uL,\"full\":%uL,\"timed_out\":%uL,\"left\":%uL}",
                     s.size, s.limit, s.active, s.waiting, s.counters.admitted, s.counters.waited,
                     s.counters.full, s.counters.timed_out, s.counters.left);
}

ngx_int_t send_json(ngx_http_request_t* r, ngx_buf_t* body) {
  r->headers_out.status = NGX_HTTP_OK;
  r->headers_out.content_length_n = body->last - body->pos;
  ngx_str_set(&r->headers_out.content_type, "application/json");
  r->headers_out.content_type_len = r->headers_out.content_type.len;
  const ngx_int_t rc = ngx_http_send_header(r);
  if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
    return rc;
  }
  body->last_buf = r == r->main;
  body->last_in_chain = 1;
  ngx_chain_t out = {body, nullptr};
  return ngx_http_output_filter(r, &out);
}

ngx_int_t ngx_http_forktail_queue_report_handler(ngx_http_request_t* r) {
  if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
    return NGX_HTTP_NOT_ALLOWED;
  }
  const ngx_int_t rc = ngx_http_discard_request_body(r);
  if (rc != NGX_OK) {
    return rc;
  }
  const QueueMainConf* conf = queue_main_conf(r);
  auto** zones = static_cast<QueueZone**>(conf->zones.elts);
  constexpr size_t kNumbers = 128 + 9 * NGX_INT64_LEN;  // the longest text around a zone's name
  size_t size = sizeof("{}\n");
  for (ngx_uint_t i = 0; i < conf->zones.nelts; ++i) {
    size += kNumbers + (sizeof("\\u0000") - 1) * zones[i]->shm->shm.name.len;
  }
  ngx_buf_t* body = ngx_create_temp_buf(r->pool, size);
  if (body == nullptr) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  *body->last++ = '{';
  for (ngx_uint_t i = 0; i < conf->zones.nelts; ++i) {
    if (i != 0) {
      *body->last++ = ',';
    }
    body->last = put_zone(body->last, zones[i]);
  }
  *body->last++ = '}';
  *body->last++ = '\n';
  return send_json(r, body);
}

}  // namespace

char* ngx_http_forktail_queue_report_set(ngx_conf_t* cf, ngx_command_t*, void*) {
  auto* core = static_cast<ngx_http_core_loc_conf_t*>(
      ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
  core->handler = ngx_http_forktail_queue_report_handler;
  return NGX_CONF_OK;
}

}  // namespace forktail
