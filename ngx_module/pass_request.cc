#include "pass.h"
#include "queue_request.h"

namespace forktail {
namespace {

constexpr std::string_view kPlain = "uwsgi://";
constexpr std::string_view kSecure = "suwsgi://";

// Appends copies of the body's buffers to the packet: nginx moves through the originals' positions
// itself when it has to send them once more.
ngx_int_t append_body(ngx_http_request_t* r, ngx_chain_t* tail, const ngx_chain_t* body) {
  for (; body != nullptr; body = body->next) {
    auto* copy = static_cast<ngx_buf_t*>(ngx_alloc_buf(r->pool));
    ngx_chain_t* link = ngx_alloc_chain_link(r->pool);
    if (copy == nullptr || link == nullptr) {
      return NGX_ERROR;
    }
    *copy = *body->buf;
    link->buf = copy;
    tail->next = link;
    tail = link;
  }
  tail->next = nullptr;
  tail->buf->flush = 1;
  return NGX_OK;
}

ngx_int_t attach_packet(ngx_http_request_t* r) {
  ngx_http_upstream_t* u = r->upstream;
  PassContext* context = pass_context(r);
  stamp_packet(context);

  ngx_chain_t* link = ngx_alloc_chain_link(r->pool);
  if (link == nullptr) {
    return NGX_ERROR;
  }
  link->buf = context->packet;
  const bool whole_body =
      !r->request_body_no_buffering && u->conf->pass_request_body && !body_is_cut(r);
  const ngx_chain_t* body = whole_body ? u->request_bufs : nullptr;
  u->request_bufs = link;
  return append_body(r, link, body);
}

ngx_int_t ngx_http_forktail_pass_create_request(ngx_http_request_t* r) {
  const ngx_int_t rc = attach_packet(r);
  if (rc != NGX_OK) {
    leave_queue(r);  // nginx does not finalize an upstream that has no request
  }
  return rc;
}

// nginx calls this before it sends the request once more.
ngx_int_t ngx_http_forktail_pass_reinit_request(ngx_http_request_t* r) {
  PassContext* context = pass_context(r);
  context->status = {};
  context->chunked = {};
  context->interim = false;
  context->interims = 0;
  context->excess = false;
  r->state = 0;

  ngx_http_upstream_t* u = r->upstream;
  u->process_header = ngx_http_forktail_pass_process_head;
  u->pipe->input_filter = ngx_http_forktail_pass_buffered_filter;
  u->input_filter = ngx_http_forktail_pass_unbuffered_filter;
  stamp_packet(context);
  return NGX_OK;
}

void ngx_http_forktail_pass_abort_request(ngx_http_request_t*) {}

// Called before the connection is given back or closed, so that whoever goes next finds it.
void ngx_http_forktail_pass_finalize_request(ngx_http_request_t* r, ngx_int_t) { leave_queue(r); }

// What nginx's own log lines call the upstream's protocol.
void set_schema(ngx_http_upstream_t* u) {
  if (speaks_tls(u)) {
    ngx_str_set(&u->schema, "suwsgi://");
  } else {
    ngx_str_set(&u->schema, "uwsgi://");
  }
}

// Where to pass to, when the configuration gives variables.
ngx_int_t resolve_target(ngx_http_request_t* r, ngx_http_complex_value_t* target) {
  ngx_http_upstream_t* u = r->upstream;
  ngx_url_t url = {};
  if (ngx_http_complex_value(r, target, &url.url) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!set_tls(u, take_scheme(&url.url))) {
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "\"forktail_pass\" can not speak TLS to \"%V\": this nginx was built without "
                  "--with-http_ssl_module",
                  &url.url);
    return NGX_ERROR;
  }
  set_schema(u);
  url.no_resolve = 1;
  if (ngx_parse_url(r->pool, &url) != NGX_OK) {
    if (url.err != nullptr) {
      ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                    "\"forktail_pass\" can not pass to \"%V\": %s", &url.url, url.err);
    }
    return NGX_ERROR;
  }
  u->resolved = static_cast<ngx_http_upstream_resolved_t*>(
      ngx_pcalloc(r->pool, sizeof(ngx_http_upstream_resolved_t)));
  if (u->resolved == nullptr) {
    return NGX_ERROR;
  }
  if (url.addrs != nullptr) {
    u->resolved->sockaddr = url.addrs[0].sockaddr;
    u->resolved->socklen = url.addrs[0].socklen;
    u->resolved->name = url.addrs[0].name;
    u->resolved->naddrs = 1;
  }
  u->resolved->host = url.host;
  u->resolved->port = url.port;
  u->resolved->no_port = url.no_port;
  return NGX_OK;
}

// The upstream block that the request goes to; null when it goes to an address. As nginx itself
// looks one up.
const ngx_http_upstream_srv_conf_t* find_upstream(ngx_http_request_t* r) {
  const ngx_http_upstream_resolved_t* resolved = r->upstream->resolved;
  if (resolved == nullptr) {
    return pass_loc_conf(r)->upstream.upstream;
  }
  const auto* conf = static_cast<const ngx_http_upstream_main_conf_t*>(
      ngx_http_get_module_main_conf(r, ngx_http_upstream_module));
  auto** all = static_cast<ngx_http_upstream_srv_conf_t**>(conf->upstreams.elts);
  for (ngx_uint_t i = 0; i < conf->upstreams.nelts; ++i) {
    const bool same_port =
        (all[i]->port == 0 && resolved->no_port) || all[i]->port == resolved->port;
    if (same_port && same_text(view(all[i]->host), view(resolved->host))) {
      return all[i];
    }
  }
  return nullptr;
}

const Queue* find_queue(ngx_http_request_t* r) {
  const PassLocConf* conf = pass_loc_conf(r);
  return conf->target != nullptr && conf->asks_upstream ? queue_of(find_upstream(r)) : &conf->queue;
}

bool may_keep(ngx_http_request_t* r) {
  const PassLocConf* conf = pass_loc_conf(r);
  if (conf->target == nullptr) {
    return conf->keeps;
  }
  const auto* main_conf = static_cast<const PassMainConf*>(
      ngx_http_get_module_main_conf(r, ngx_http_forktail_pass_module));
  return keeps_connections(*main_conf, find_upstream(r));
}

// Its turn has come. If that has taken time the packet is made anew, since it may say how much.
void take_turn(ngx_http_request_t* r) {
  const ngx_int_t rc = pass_context(r)->made == ngx_current_msec ? NGX_OK : make_packet(r);
  if (rc == NGX_OK) {
    ngx_http_upstream_init(r);
    return;
  }
  leave_queue(r);
  ngx_http_finalize_request(r, rc);
}

// The body is there, or its beginning when it is passed on as it comes.
void ngx_http_forktail_pass_start(ngx_http_request_t* r) {
  const PassLocConf* conf = pass_loc_conf(r);
  // An error page comes here after an unbuffered body was begun to be passed to another server.
  const bool needs_body = r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD;
  if (needs_body && conf->upstream.pass_request_body && body_is_cut(r)) {
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "a part of the request's body has been passed on already and can not be sent "
                  "once more");
    ngx_http_finalize_request(r, NGX_HTTP_BAD_GATEWAY);
    return;
  }
  const Queue* queue = find_queue(r);
  const bool queued = queue != nullptr && queue->zone != nullptr;
  if (queued) {
    note_queue_time(r);
  }
  // Before it waits, so that what no packet can hold is refused at once and takes no place.
  const ngx_int_t rc = make_packet(r);
  if (rc != NGX_OK) {
    ngx_http_finalize_request(r, rc);
  } else if (queued) {
    enter_queue(r, queue->zone, queue->timeout, take_turn);
  } else {
    ngx_http_upstream_init(r);
  }
}

}  // namespace

bool take_scheme(ngx_str_t* url) {
  for (const std::string_view scheme : {kPlain, kSecure}) {
    if (url->len >= scheme.size() && same_text({view(*url).data(), scheme.size()}, scheme)) {
      url->data += scheme.size();
      url->len -= scheme.size();
      return scheme == kSecure;
    }
  }
  return false;
}

ngx_int_t ngx_http_forktail_pass_handler(ngx_http_request_t* r) {
  PassLocConf* conf = pass_loc_conf(r);
  auto* context = static_cast<PassContext*>(ngx_pcalloc(r->pool, sizeof(PassContext)));
  if (context == nullptr || ngx_http_upstream_create(r) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  context->request = r;

  ngx_http_upstream_t* u = r->upstream;
  u->conf = &conf->upstream;
  set_tls(u, conf->tls.wanted);
  set_schema(u);
  if (conf->target != nullptr && resolve_target(r, conf->target) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  context->keep_conn = may_keep(r);
  u->output.tag = reinterpret_cast<ngx_buf_tag_t>(&ngx_http_forktail_pass_module);
  u->create_request = ngx_http_forktail_pass_create_request;
  u->reinit_request = ngx_http_forktail_pass_reinit_request;
  u->process_header = ngx_http_forktail_pass_process_head;
  u->abort_request = ngx_http_forktail_pass_abort_request;
  u->finalize_request = ngx_http_forktail_pass_finalize_request;
  u->buffering = conf->upstream.buffering;
  u->pipe = static_cast<ngx_event_pipe_t*>(ngx_pcalloc(r->pool, sizeof(ngx_event_pipe_t)));
  if (u->pipe == nullptr) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  u->pipe->input_filter = ngx_http_forktail_pass_buffered_filter;
  u->pipe->input_ctx = context;
  u->input_filter_init = ngx_http_forktail_pass_filter_init;
  u->input_filter = ngx_http_forktail_pass_unbuffered_filter;
  u->input_filter_ctx = context;
  r->state = 0;

  // A chunked body has to be read whole: a packet states the body's length.
  if (!conf->upstream.request_buffering && conf->upstream.pass_request_body &&
      !r->headers_in.chunked) {
    r->request_body_no_buffering = 1;
  }
  const ngx_int_t rc = ngx_http_read_client_request_body(r, ngx_http_forktail_pass_start);
  return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

}  // namespace forktail
