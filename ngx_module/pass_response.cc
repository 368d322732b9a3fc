#include "pass.h"

namespace forktail {
namespace {

constexpr ngx_uint_t kHttp11 = 1001;

// Each costs a move of what has been read behind it.
constexpr ngx_uint_t kMaxInterims = 100;

// A server that knows nothing of kept connections would find its connections used just when it
// closes them, and a POST can not be sent once more. So it has to say that it keeps them, whether
// somebody wrote `keepalive` before it or nginx has a cache by default.
bool agrees_to_keep(const ngx_http_upstream_headers_in_t& in) {
  return in.connection != nullptr && !in.connection_close &&
         has_text(view(in.connection->value), "keep-alive");
}

ngx_int_t ngx_http_forktail_pass_process_headers(ngx_http_request_t* r);

ngx_int_t copy_header(ngx_http_request_t* r, ngx_table_elt_t* h) {
  h->hash = r->header_hash;
  h->key.len = static_cast<size_t>(r->header_name_end - r->header_name_start);
  h->value.len = static_cast<size_t>(r->header_end - r->header_start);
  // Name, value, both ended by a zero as nginx's handlers expect, and the name in lower case.
  auto* text = static_cast<u_char*>(ngx_pnalloc(r->pool, 2 * h->key.len + h->value.len + 2));
  if (text == nullptr) {
    h->hash = 0;
    return NGX_ERROR;
  }
  h->key.data = text;
  text = ngx_cpymem(text, r->header_name_start, h->key.len);
  *text++ = '\0';
  h->value.data = text;
  text = ngx_cpymem(text, r->header_start, h->value.len);
  *text++ = '\0';
  h->lowcase_key = text;
  ngx_strlow(h->lowcase_key, h->key.data, h->key.len);
  return NGX_OK;
}

ngx_int_t refuse(const ngx_http_request_t* r, const char* what, const ngx_table_elt_t* h) {
  ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "upstream sent %s: \"%V: %V\"", what, &h->key,
                &h->value);
  return NGX_HTTP_UPSTREAM_INVALID_HEADER;
}

// A length that two readers can understand differently is how responses are smuggled. Current nginx
// refuses such headers itself, 1.22 takes the last one.
ngx_int_t check_framing(const ngx_http_request_t* r, const ngx_table_elt_t* h) {
  const ngx_http_upstream_headers_in_t& seen = r->upstream->headers_in;
  const bool length = same_text(view(h->key), "Content-Length");
  if (!length && !same_text(view(h->key), "Transfer-Encoding")) {
    return NGX_OK;
  }
  if (seen.content_length != nullptr || seen.transfer_encoding != nullptr) {
    return refuse(r, "a second header that says how long the response is", h);
  }
  if (length && ngx_atoof(h->value.data, h->value.len) == NGX_ERROR) {
    return refuse(r, "a length that is no number", h);
  }
  if (!length && !same_text(view(h->value), "chunked")) {
    return refuse(r, "an encoding that nobody asked for", h);
  }
  return NGX_OK;
}

ngx_int_t take_header(ngx_http_request_t* r) {
  ngx_http_upstream_t* u = r->upstream;
  auto* h = static_cast<ngx_table_elt_t*>(ngx_list_push(&u->headers_in.headers));
  if (h == nullptr || copy_header(r, h) != NGX_OK) {
    return NGX_ERROR;
  }
  const ngx_int_t rc = check_framing(r, h);
  if (rc != NGX_OK) {
    return rc;
  }
  note_gives_back(r, *h);
  auto* main_conf = static_cast<ngx_http_upstream_main_conf_t*>(
      ngx_http_get_module_main_conf(r, ngx_http_upstream_module));
  const auto* known = static_cast<const ngx_http_upstream_header_t*>(
      ngx_hash_find(&main_conf->headers_in_hash, h->hash, h->lowcase_key, h->key.len));
  return known == nullptr ? NGX_OK : known->handler(r, h, known->offset);
}

// The status of a response that began with its headers, as a CGI one does.
ngx_int_t take_cgi_status(ngx_http_upstream_headers_in_t* in, const ngx_log_t* log) {
  if (in->status == nullptr) {
    in->status_n = in->location != nullptr ? NGX_HTTP_MOVED_TEMPORARILY : NGX_HTTP_OK;
    return NGX_OK;
  }
  const ngx_str_t& value = in->status->value;
  const ngx_int_t status = value.len < 3 ? NGX_ERROR : ngx_atoi(value.data, 3);
  if (status < NGX_HTTP_OK) {
    ngx_log_error(NGX_LOG_ERR, const_cast<ngx_log_t*>(log), 0,
                  "upstream sent an invalid status: \"Status: %V\"", &value);
    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
  }
  in->status_n = static_cast<ngx_uint_t>(status);
  if (value.len > sizeof("200 ") - 1) {
    in->status_line = value;
  }
  return NGX_OK;
}

// Whether the client has asked for another protocol, and can have it: not in a stream of HTTP/2,
// and not for a part of a page.
bool asks_for_upgrade(const ngx_http_request_t* r) {
  return r == r->main && r->headers_in.upgrade != nullptr && r->http_version == NGX_HTTP_VERSION_11;
}

ngx_int_t finish_head(ngx_http_request_t* r) {
  ngx_http_upstream_t* u = r->upstream;
  if (u->headers_in.status_n == 0) {
    const ngx_int_t rc = take_cgi_status(&u->headers_in, r->connection->log);
    if (rc != NGX_OK) {
      return rc;
    }
  }
  if (u->state != nullptr && u->state->status == 0) {
    u->state->status = u->headers_in.status_n;
  }
  if (u->headers_in.status_n == NGX_HTTP_SWITCHING_PROTOCOLS) {
    u->upgrade = 1;  // what follows is the other protocol's, to the end of the connection
    return NGX_OK;
  }
  // Decided here, since nginx reads no body at all when it answers a HEAD request or redirects.
  if (has_no_body(r)) {
    pass_context(r)->excess = u->buffer.pos != u->buffer.last;
    keep_connection(r);
  }
  return NGX_OK;
}

// An interim response is read and dropped: the client has not asked for one.
ngx_int_t finish_interim(ngx_http_request_t* r) {
  PassContext* context = pass_context(r);
  if (++context->interims > kMaxInterims) {
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "upstream sent more than %ui interim responses", kMaxInterims);
    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
  }
  context->interim = false;
  context->status = {};
  r->state = 0;
  ngx_http_upstream_t* u = r->upstream;
  u->process_header = ngx_http_forktail_pass_process_head;
  // However many there are, the head that counts has the whole buffer.
  ngx_buf_t& buffer = u->buffer;
  const auto rest = static_cast<size_t>(buffer.last - buffer.pos);
  ngx_memmove(buffer.start, buffer.pos, rest);
  buffer.pos = buffer.start;
  buffer.last = buffer.start + rest;
  return ngx_http_forktail_pass_process_head(r);
}

ngx_int_t ngx_http_forktail_pass_process_headers(ngx_http_request_t* r) {
  const bool interim = pass_context(r)->interim;
  for (;;) {
    ngx_int_t rc = ngx_http_parse_header_line(r, &r->upstream->buffer, 1);
    if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
      return interim ? finish_interim(r) : finish_head(r);
    }
    if (rc == NGX_AGAIN) {
      return rc;
    }
    // A line without a colon is a header of no value to nginx, and a stray word to everybody else.
    if (rc != NGX_OK || *r->header_name_end == CR || *r->header_name_end == LF) {
      ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                    "upstream sent invalid header: \"%*s\\x%02xd...\"",
                    static_cast<size_t>(r->header_end - r->header_name_start), r->header_name_start,
                    *r->header_end);
      return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }
    rc = interim ? NGX_OK : take_header(r);
    if (rc != NGX_OK) {
      return rc;
    }
  }
}

ngx_int_t take_status(ngx_http_request_t* r) {
  PassContext* context = pass_context(r);
  ngx_http_upstream_t* u = r->upstream;
  const ngx_http_status_t& status = context->status;
  const bool upgrade = status.code == NGX_HTTP_SWITCHING_PROTOCOLS;
  if (status.code < NGX_HTTP_CONTINUE || (upgrade && !asks_for_upgrade(r))) {
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "upstream sent status %ui, which answers no request that was made", status.code);
    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
  }
  context->interim = status.code < NGX_HTTP_OK && !upgrade;
  if (context->interim) {
    return NGX_OK;
  }
  u->headers_in.status_n = status.code;
  const auto len = static_cast<size_t>(status.end - status.start);
  if (len > sizeof("200 ") - 1) {  // else nginx's own reason is better than none
    u->headers_in.status_line.data = static_cast<u_char*>(ngx_pnalloc(r->pool, len));
    if (u->headers_in.status_line.data == nullptr) {
      return NGX_ERROR;
    }
    ngx_memcpy(u->headers_in.status_line.data, status.start, len);
    u->headers_in.status_line.len = len;
  }
  return NGX_OK;
}

// A unix socket reports room for more each time that the server has read something, which would
// wake nginx once more for each request. nginx asks for the report again when something does not
// fit.
void ignore_room(const ngx_connection_t* c) {
  if ((ngx_event_flags & NGX_USE_CLEAR_EVENT) != 0 && c->write->active && c->write->ready) {
    ngx_del_event(c->write, NGX_WRITE_EVENT, NGX_CLEAR_EVENT);
  }
}

// NGX_OK when a status line begins here, NGX_DECLINED when headers do.
ngx_int_t find_status_line(ngx_buf_t* buffer) {
  static constexpr std::string_view kProtocol = "HTTP/";
  // A server gives an idle connection back by a line end. One that met the request on its way is
  // not part of the response.
  while (buffer->pos != buffer->last && (*buffer->pos == CR || *buffer->pos == LF)) {
    ++buffer->pos;
  }
  const std::string_view text(reinterpret_cast<char*>(buffer->pos),
                              static_cast<size_t>(buffer->last - buffer->pos));
  if (text.size() < kProtocol.size()) {
    return begins_with(kProtocol, text) ? NGX_AGAIN : NGX_DECLINED;
  }
  return begins_with(text, kProtocol) ? NGX_OK : NGX_DECLINED;
}

}  // namespace

ngx_int_t ngx_http_forktail_pass_process_head(ngx_http_request_t* r) {
  ngx_http_upstream_t* u = r->upstream;
  if (r->state == 0) {
    if (pass_context(r)->keep_conn) {
      ignore_room(u->peer.connection);
    }
    const ngx_int_t rc = find_status_line(&u->buffer);
    if (rc == NGX_AGAIN) {
      return rc;
    }
    if (rc == NGX_DECLINED) {
      u->process_header = ngx_http_forktail_pass_process_headers;
      return ngx_http_forktail_pass_process_headers(r);
    }
  }
  ngx_int_t rc = ngx_http_parse_status_line(r, &u->buffer, &pass_context(r)->status);
  if (rc == NGX_AGAIN) {
    return rc;
  }
  if (rc != NGX_OK) {
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "upstream sent an invalid status line");
    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
  }
  rc = take_status(r);
  if (rc != NGX_OK) {
    return rc;
  }
  u->process_header = ngx_http_forktail_pass_process_headers;
  return ngx_http_forktail_pass_process_headers(r);
}

bool has_no_body(const ngx_http_request_t* r) {
  const ngx_http_upstream_headers_in_t& in = r->upstream->headers_in;
  return in.status_n == NGX_HTTP_NO_CONTENT || in.status_n == NGX_HTTP_NOT_MODIFIED ||
         pass_context(r)->asked_head || (!in.chunked && in.content_length_n == 0);
}

void keep_connection(ngx_http_request_t* r) {
  const PassContext* context = pass_context(r);
  ngx_http_upstream_t* u = r->upstream;
  const bool http10 = context->status.http_version != 0 && context->status.http_version < kHttp11;
  u->keepalive = context->keep_conn && !context->excess && agrees_to_keep(u->headers_in) && !http10;
}

}  // namespace forktail
