// What differs between the versions of nginx that the module is built against, 1.22.1 to mainline,
// behind names that are the same for all of them.
//
// This is the one place that asks for a version, or for what an nginx was built with. Functions
// that take a request are called in an nginx worker, when nginx has read its line and headers.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

#if nginx_version >= 1029005

// The port that the client named, or 0.
inline ngx_uint_t request_port(const ngx_http_request_t* r) { return r->port; }

#else

// "host:port" as the client wrote it: of an absolute request line, else of the Host header.
inline ngx_str_t requested_authority(const ngx_http_request_t* r) {
  if (r->host_end == nullptr) {
    return r->headers_in.host != nullptr ? r->headers_in.host->value : ngx_str_t{};
  }
  // r->port_end went in 1.25.4. The parser lets nothing but digits follow the colon, and after them
  // come the path or the blank that ends the URI.
  u_char* end = r->host_end;
  if (*end == ':') {
    do {
      ++end;
    } while (*end >= '0' && *end <= '9');
  }
  return {static_cast<size_t>(end - r->host_start), r->host_start};
}

// The port that the client named, or 0: 80 of "host:80", nothing of "host" and of "[::1]".
inline ngx_uint_t request_port(const ngx_http_request_t* r) {
  const ngx_str_t authority = requested_authority(r);
  u_char* end = authority.data + authority.len;
  u_char* begin = end;
  while (begin != authority.data && begin[-1] >= '0' && begin[-1] <= '9') {
    --begin;
  }
  if (begin == authority.data || begin[-1] != ':') {
    return 0;
  }
  const ngx_int_t port = ngx_atoi(begin, static_cast<size_t>(end - begin));
  return port > 0 && port < 65536 ? static_cast<ngx_uint_t>(port) : 0;
}

#endif

// Whether `r` has a connection to its client for itself in name only: it is a stream of HTTP/2 or
// HTTP/3, whose end is told by an error.
inline bool is_stream(const ngx_http_request_t* r) {
#if (NGX_HTTP_V2)
  if (r->stream != nullptr) {
    return true;
  }
#endif
#if (NGX_HTTP_V3)
  if (r->connection->quic != nullptr) {
    return true;
  }
#endif
  return false;
}

// Whether an event's `pending_eof` tells that a peer has closed its connection.
inline bool reports_end_by_event() {
#if (NGX_HAVE_EPOLLRDHUP)
  return (ngx_event_flags & NGX_USE_EPOLL_EVENT) != 0 && ngx_use_epoll_rdhup != 0;
#else
  return false;
#endif
}

// The shortest that an unfinished chunked body can still be: "0" and two line ends.
#if nginx_version >= 1029004
constexpr off_t kShortestChunked = 5;
#else
constexpr off_t kShortestChunked = 3;  // a line may end in a line feed alone
#endif

inline ngx_int_t parse_chunked(ngx_http_request_t* r, ngx_buf_t* buf, ngx_http_chunked_t* state) {
#if nginx_version >= 1027002
  return ngx_http_parse_chunked(r, buf, state, 0);  // trailers are dropped
#else
  return ngx_http_parse_chunked(r, buf, state);
#endif
}

// The limit of an upstream's rate, which may have variables since 1.27.0.
#if nginx_version >= 1027000

inline constexpr auto* kLimitRateSetter = ngx_http_set_complex_value_size_slot;

inline void unset_limit_rate(ngx_http_upstream_conf_t* conf) {
  conf->limit_rate = static_cast<ngx_http_complex_value_t*>(NGX_CONF_UNSET_PTR);
}

inline void merge_limit_rate(const ngx_http_upstream_conf_t& prev, ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_ptr_value(conf->limit_rate, prev.limit_rate, nullptr);
}

#else

inline constexpr auto* kLimitRateSetter = ngx_conf_set_size_slot;

inline void unset_limit_rate(ngx_http_upstream_conf_t* conf) {
  conf->limit_rate = NGX_CONF_UNSET_SIZE;
}

inline void merge_limit_rate(const ngx_http_upstream_conf_t& prev, ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_size_value(conf->limit_rate, prev.limit_rate, 0);
}

#endif

// The sizes of the buffers of a server's socket.
#if nginx_version >= 1031003

#define FORKTAIL_SOCKET_BUFFERS 1

inline void unset_socket_buffers(ngx_http_upstream_conf_t* conf) {
  conf->socket_rcvbuf = conf->socket_sndbuf = NGX_CONF_UNSET_SIZE;
}

inline void merge_socket_buffers(const ngx_http_upstream_conf_t& prev,
                                 ngx_http_upstream_conf_t* conf) {
  ngx_conf_merge_size_value(conf->socket_rcvbuf, prev.socket_rcvbuf, 0);
  ngx_conf_merge_size_value(conf->socket_sndbuf, prev.socket_sndbuf, 0);
}

#else

inline void unset_socket_buffers(ngx_http_upstream_conf_t*) {}
inline void merge_socket_buffers(const ngx_http_upstream_conf_t&, ngx_http_upstream_conf_t*) {}

#endif

// TLS to a server, and certificates kept between connections.
#if (NGX_HTTP_SSL)
#define FORKTAIL_TLS 1
#if nginx_version >= 1027004
#define FORKTAIL_CERTIFICATE_CACHE 1
#endif

inline bool speaks_tls(const ngx_http_upstream_t* u) { return u->ssl != 0; }

// Whether the connection can be made as `wanted`.
inline bool set_tls(ngx_http_upstream_t* u, bool wanted) {
  u->ssl = wanted;
  return true;
}

#else

inline bool speaks_tls(const ngx_http_upstream_t*) { return false; }
inline bool set_tls(ngx_http_upstream_t*, bool wanted) { return !wanted; }

#endif

}  // namespace forktail
