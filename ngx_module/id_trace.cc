#include "id_trace.h"

#include "headers.h"
#include "id_generator.h"

namespace forktail {
namespace {

constexpr ngx_uint_t hash_of(std::string_view name) {
  ngx_uint_t hash = 0;
  for (const char c : name) {
    hash = ngx_hash(hash, static_cast<u_char>(c));
  }
  return hash;
}

const HeaderName kTraceparent = {ngx_string("traceparent"), ngx_string("traceparent"),
                                 hash_of("traceparent")};
const HeaderName kTracestate = {ngx_string("tracestate"), ngx_string("tracestate"),
                                hash_of("tracestate")};

// The client's tracestate headers as one valid list in the request's pool, or an empty string.
bool join_tracestate(ngx_http_request_t* r, ngx_str_t* list) {
  size_t size = 0;
  each_header(r->headers_in.headers, [&](const ngx_table_elt_t& header) {
    size += same_name(header.key, kTracestate) ? header.value.len + 1 : 0;
  });
  *list = {};
  if (size == 0) {
    return true;
  }
  list->data = static_cast<u_char*>(ngx_pnalloc(r->pool, size));
  if (list->data == nullptr) {
    return false;
  }
  id::TraceState state(reinterpret_cast<char*>(list->data));
  each_header(r->headers_in.headers, [&](const ngx_table_elt_t& header) {
    if (same_name(header.key, kTracestate)) {
      state.add(view(header.value));
    }
  });
  list->len = state.list().size();
  return true;
}

// The trace-id and the flags of a trace that starts with this request.
bool start(std::string_view id, std::string_view source, char* trace_id, std::uint8_t* flags) {
  if (id::write_trace_id(trace_id, id)) {
    // Nobody says how a client's id was drawn.
    *flags = source == "accepted" ? 0 : id::kRandomTraceId;
    return true;
  }
  const std::optional<id::Text> fresh = generator().next(id::Format::random);
  if (!fresh) {
    return false;
  }
  ngx_memcpy(trace_id, fresh->chars.data(), id::kTraceIdLength);
  *flags = id::kRandomTraceId;
  return true;
}

}  // namespace

std::optional<id::TraceParent> inbound_traceparent(ngx_http_request_t* r) {
  ngx_uint_t count = 0;
  std::string_view value;
  each_header(r->headers_in.headers, [&](const ngx_table_elt_t& header) {
    if (same_name(header.key, kTraceparent)) {
      ++count;
      value = view(header.value);
    }
  });
  return count == 1 ? id::parse_traceparent(value) : std::nullopt;
}

bool trace(ngx_http_request_t* r, Identity* identity,
           const std::optional<id::TraceParent>& parent) {
  char trace_id[id::kTraceIdLength];
  std::uint8_t flags = 0;
  ngx_str_t state = {};
  if (parent) {
    ngx_memcpy(trace_id, parent->trace_id.data(), id::kTraceIdLength);
    flags = parent->flags;
    if (!join_tracestate(r, &state)) {
      return false;
    }
  } else if (!start(view(identity->id), view(identity->source), trace_id, &flags)) {
    return false;
  }

  const std::optional<std::array<char, id::kSpanIdLength>> span = generator().next_span();
  auto* text = static_cast<u_char*>(ngx_pnalloc(r->pool, id::kTraceparentLength));
  if (!span || text == nullptr) {
    return false;
  }
  id::write_traceparent(reinterpret_cast<char*>(text), {trace_id, id::kTraceIdLength},
                        {span->data(), span->size()}, flags);
  identity->traceparent = {id::kTraceparentLength, text};
  identity->trace_id = {id::kTraceIdLength, text + 3};
  identity->span_id = {id::kSpanIdLength, text + 36};

  ngx_list_t& headers = r->headers_in.headers;
  return set_header(headers, r->pool, kTraceparent, identity->traceparent) &&
         (state.len == 0 ? drop_headers(headers, r->pool, kTracestate)
                         : set_header(headers, r->pool, kTracestate, state));
}

}  // namespace forktail
