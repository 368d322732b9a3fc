#include "id_request.h"

#include "id/validate.h"
#include "id_error_log.h"
#include "id_generator.h"
#include "id_trace.h"

namespace forktail {
namespace {

constexpr size_t kMaxClientId = 64;

const ngx_str_t kGenerated = ngx_string("generated");
const ngx_str_t kAccepted = ngx_string("accepted");
const ngx_str_t kTraceparent = ngx_string("traceparent");
const ngx_str_t kReplaced = ngx_string("replaced");

// r->ctx is wiped by internal redirects and by error pages, the pool's cleanup list is not: an
// entry with this handler is where the identity lies.
void ngx_http_forktail_tag(void*) {}

// What the client sent under the id's name.
struct Inbound {
  ngx_uint_t count = 0;
  ngx_str_t first = {};
};

Inbound read_inbound(ngx_http_request_t* r, const HeaderName& name) {
  Inbound inbound;
  each_header(r->headers_in.headers, [&](const ngx_table_elt_t& header) {
    if (same_name(header.key, name) && inbound.count++ == 0) {
      inbound.first = header.value;
    }
  });
  return inbound;
}

bool generate(ngx_http_request_t* r, ngx_uint_t format, ngx_str_t* id) {
  const std::optional<id::Text> text = generator().next(static_cast<id::Format>(format));
  if (!text) {
    ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                  "forktail: no random bytes from OpenSSL or the kernel, the request gets no id");
    return true;
  }
  id->data = static_cast<u_char*>(ngx_pnalloc(r->pool, text->size));
  if (id->data == nullptr) {
    return false;
  }
  id->len = text->size;
  ngx_memcpy(id->data, text->chars.data(), text->size);
  return true;
}

// Keeps a value that was not taken. Several copies are shown as the one list that they mean.
bool keep_client_id(ngx_http_request_t* r, const HeaderName& name, ngx_str_t* client_id) {
  client_id->data = static_cast<u_char*>(ngx_pnalloc(r->pool, kMaxClientId));
  if (client_id->data == nullptr) {
    return false;
  }
  ngx_uint_t seen = 0;
  const auto append = [client_id](std::string_view text) {
    client_id->len += id::escape(text, reinterpret_cast<char*>(client_id->data) + client_id->len,
                                 kMaxClientId - client_id->len);
  };
  each_header(r->headers_in.headers, [&](const ngx_table_elt_t& header) {
    if (same_name(header.key, name)) {
      append(seen++ == 0 ? "" : ", ");
      append(view(header.value));
    }
  });
  return true;
}

// Decides what the id is and where it came from.
bool choose_id(ngx_http_request_t* r, const IdSrvConf* conf, Identity* identity,
               const std::optional<id::TraceParent>& parent, bool trusted) {
  const Inbound inbound = read_inbound(r, conf->header);
  if (inbound.count == 1 && trusted && !parent && id::valid(view(inbound.first))) {
    identity->id = inbound.first;
    identity->source = kAccepted;
    return true;
  }
  if (parent) {
    // The header's text stays where it is for as long as the request.
    identity->id = {parent->trace_id.size(),
                    const_cast<u_char*>(reinterpret_cast<const u_char*>(parent->trace_id.data()))};
    identity->source = kTraceparent;
  } else {
    identity->source = inbound.count == 0 ? kGenerated : kReplaced;
    if (!generate(r, conf->format, &identity->id)) {
      return false;
    }
  }
  if (inbound.count == 0 || (inbound.count == 1 && view(inbound.first) == view(identity->id))) {
    return true;
  }
  return keep_client_id(r, conf->header, &identity->client_id);
}

// The upstream is to see one id, ours, under one spelling of its name.
bool set_upstream_header(ngx_http_request_t* r, const HeaderName& name, const ngx_str_t& id) {
  ngx_list_t& headers = r->headers_in.headers;
  return id.len == 0 ? drop_headers(headers, r->pool, name)
                     : set_header(headers, r->pool, name, id);
}

bool fill(ngx_http_request_t* r, const IdSrvConf* conf, Identity* identity) {
  const bool trusted = trusts(conf->trust, r->connection);
  std::optional<id::TraceParent> parent;
  if (conf->trace_context != 0 && trusted) {
    parent = inbound_traceparent(r);
  }
  if (!choose_id(r, conf, identity, parent, trusted)) {
    return false;
  }
  if (conf->trace_context != 0 && !trace(r, identity, parent)) {
    return false;
  }
  return set_upstream_header(r, conf->header, identity->id);
}

}  // namespace

Identity* find_identity(ngx_http_request_t* r) {
  r = r->main;
  void* found = ngx_http_get_module_ctx(r, ngx_http_forktail_module);
  if (found == nullptr) {
    for (ngx_pool_cleanup_t* entry = r->pool->cleanup; entry != nullptr; entry = entry->next) {
      if (entry->handler == ngx_http_forktail_tag) {
        found = entry->data;
        ngx_http_set_ctx(r, found, ngx_http_forktail_module);
        break;
      }
    }
  }
  return static_cast<Identity*>(found);
}

Identity* identity(ngx_http_request_t* r) {
  r = r->main;
  if (Identity* found = find_identity(r); found != nullptr) {
    return found;
  }
  const IdSrvConf* conf = id_srv_conf(r);
  if (conf->enabled == 0) {
    return nullptr;
  }
  ngx_pool_cleanup_t* entry = ngx_pool_cleanup_add(r->pool, sizeof(Identity));
  if (entry == nullptr) {
    return nullptr;
  }
  auto* made = static_cast<Identity*>(entry->data);
  *made = {};
  entry->handler = ngx_http_forktail_tag;
  ngx_http_set_ctx(r, made, ngx_http_forktail_module);
  if (!fill(r, conf, made)) {
    // Memory ran out. Nobody may find a half of it; whoever asks again makes it anew.
    entry->handler = nullptr;
    ngx_http_set_ctx(r, nullptr, ngx_http_forktail_module);
    return nullptr;
  }
  if (conf->error_log != 0 && made->id.len != 0) {
    tag_error_log(r, made);
  }
  return made;
}

const ngx_str_t* ngx_http_forktail_request_id(ngx_http_request_t* r) {
  const Identity* found = identity(r);
  return found != nullptr && found->id.len != 0 ? &found->id : nullptr;
}

ngx_int_t ngx_http_forktail_handler(ngx_http_request_t* r) {
  // A request whose inbound headers could not be cleaned must not reach an upstream.
  if (identity(r) == nullptr && id_srv_conf(r->main)->enabled != 0) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  // Not NGX_OK: that would end the phase, and realip would never see the request.
  return NGX_DECLINED;
}

}  // namespace forktail
