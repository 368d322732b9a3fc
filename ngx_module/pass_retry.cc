// A request that fails on a kept connection is tried once more by nginx, and then on the next kept
// one, since the server may just have closed them. A server that gives its connections back before
// it closes them, and says so, ends one silently only when it dies of the request: then all its
// workers would.
#include "pass.h"

namespace forktail {
namespace {

// What a server says that never closes a kept connection without a line end before.
constexpr std::string_view kGivesBack = "gives-back";

// Marks a connection whose server has said so, for as long as nginx keeps it.
void ngx_http_forktail_pass_gives_back(void*) {}

bool is_marked(const ngx_connection_t* c) {
  const ngx_pool_cleanup_t* one = c == nullptr || c->pool == nullptr ? nullptr : c->pool->cleanup;
  while (one != nullptr && one->handler != ngx_http_forktail_pass_gives_back) {
    one = one->next;
  }
  return one != nullptr;
}

// Whether the server has the whole request, and nothing came of it, not even the line end.
bool has_died_of_it(const ngx_http_upstream_t* u) {
  return u->peer.cached && u->request_body_sent && u->state->bytes_received == 0 &&
         is_marked(u->peer.connection);
}

// nginx decides after this call whether it tries again, and counts no try on a kept connection.
void ngx_http_forktail_pass_free_peer(ngx_peer_connection_t* peer, void* data, ngx_uint_t state) {
  auto* u = reinterpret_cast<ngx_http_upstream_t*>(reinterpret_cast<char*>(peer) -
                                                   offsetof(ngx_http_upstream_t, peer));
  const bool died = (state & NGX_PEER_FAILED) != 0 && has_died_of_it(u);
  static_cast<const PassContext*>(u->input_filter_ctx)->free_peer(peer, data, state);
  if (died) {
    peer->cached = 0;
  }
}

ngx_int_t ngx_http_forktail_pass_init_peer(ngx_http_request_t* r,
                                           ngx_http_upstream_srv_conf_t* upstream) {
  const auto* conf =
      static_cast<const PassSrvConf*>(upstream->srv_conf[ngx_http_forktail_pass_module.ctx_index]);
  const ngx_int_t rc = conf->init_peer(r, upstream);
  ngx_http_upstream_t* u = r->upstream;
  if (rc == NGX_OK && u->output.tag == &ngx_http_forktail_pass_module) {
    pass_context(r)->free_peer = u->peer.free;
    u->peer.free = ngx_http_forktail_pass_free_peer;
  }
  return rc;
}

}  // namespace

void guard_peers(ngx_conf_t* cf) {
  const auto* conf = static_cast<const ngx_http_upstream_main_conf_t*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module));
  auto** all = static_cast<ngx_http_upstream_srv_conf_t**>(conf->upstreams.elts);
  for (ngx_uint_t i = 0; i < conf->upstreams.nelts; ++i) {
    if (all[i]->srv_conf == nullptr) {  // an address, to which nginx keeps no connections
      continue;
    }
    static_cast<PassSrvConf*>(all[i]->srv_conf[ngx_http_forktail_pass_module.ctx_index])
        ->init_peer = all[i]->peer.init;
    all[i]->peer.init = ngx_http_forktail_pass_init_peer;
  }
}

void note_gives_back(ngx_http_request_t* r, const ngx_table_elt_t& header) {
  ngx_connection_t* c = r->upstream->peer.connection;
  if (!same_text(view(header.key), "Keep-Alive") || !has_text(view(header.value), kGivesBack) ||
      is_marked(c)) {
    return;
  }
  ngx_pool_cleanup_t* mark = ngx_pool_cleanup_add(c->pool, 0);
  if (mark != nullptr) {
    mark->handler = ngx_http_forktail_pass_gives_back;
  }
}

}  // namespace forktail
