#include <sys/random.h>
#include <sys/time.h>

#include "pass.h"

namespace forktail {
namespace {

constexpr size_t kHeadSize = 4;
constexpr size_t kMaxPacket = 65535;  // its size is written in 16 bits
constexpr size_t kTimeSize = sizeof("1700000000.000") - 1;

// A variable to be sent: its value is `value`, or, of a header that came `copies` times, all the
// values joined.
struct Variable {
  ngx_str_t prefix;
  ngx_str_t name;
  ngx_str_t value;
  const ngx_str_t* separator;
  Variable* next_copy;
  Variable* last_copy;  // of the first copy: the last one of its chain
  bool is_copy;
};

const ngx_str_t kNoPrefix = ngx_null_string;
const ngx_str_t kHttp = ngx_string("HTTP_");
const ngx_str_t kComma = ngx_string(", ");
const ngx_str_t kSemicolon = ngx_string("; ");

// The variables of one packet, in the request's pool.
class Variables {
 public:
  ngx_int_t reserve(ngx_pool_t* pool, size_t count) {
    elements_ = static_cast<Variable*>(ngx_palloc(pool, count * sizeof(Variable)));
    room_ = count;
    return elements_ == nullptr ? NGX_ERROR : NGX_OK;
  }

  // Null when there are more than were reserved.
  Variable* push(const ngx_str_t& prefix, const ngx_str_t& name, const ngx_str_t& value) {
    if (count_ == room_) {
      return nullptr;
    }
    elements_[count_] = {prefix, name, value, nullptr, nullptr, nullptr, false};
    return &elements_[count_++];
  }

  Variable* begin() const { return elements_; }
  Variable* end() const { return elements_ + count_; }

  const Variable* sent = nullptr;  // the one that says when the packet was made

 private:
  Variable* elements_ = nullptr;
  size_t room_ = 0;
  size_t count_ = 0;
};

size_t value_size(const Variable& variable) {
  size_t size = variable.value.len;
  for (const Variable* copy = variable.next_copy; copy != nullptr; copy = copy->next_copy) {
    size += variable.separator->len + copy->value.len;
  }
  return size;
}

size_t encoded_size(const Variable& variable) {
  return 2 + variable.prefix.len + variable.name.len + 2 + value_size(variable);
}

u_char* put_size(u_char* out, size_t size) {
  *out++ = static_cast<u_char>(size & 0xff);
  *out++ = static_cast<u_char>(size >> 8);
  return out;
}

u_char* put(u_char* out, const ngx_str_t& text) {
  return text.len == 0 ? out : ngx_cpymem(out, text.data, text.len);
}

u_char* encode(u_char* out, const Variable& variable) {
  out = put_size(out, variable.prefix.len + variable.name.len);
  out = put(out, variable.prefix);
  if (variable.prefix.len != 0) {
    for (size_t i = 0; i < variable.name.len; ++i) {
      *out++ = variable_char(variable.name.data[i]);
    }
  } else {
    out = put(out, variable.name);
  }
  out = put_size(out, value_size(variable));
  out = put(out, variable.value);
  for (const Variable* copy = variable.next_copy; copy != nullptr; copy = copy->next_copy) {
    out = put(put(out, *variable.separator), copy->value);
  }
  return out;
}

// A number that no client can know.
uint64_t secret() {
  static uint64_t number = 0;
  if (number == 0 && getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number)) {
    number = static_cast<uint64_t>(ngx_random()) + 1;
  }
  return number;
}

// Finds the first header of a name: open addressing, so that a request with thousands of headers
// does not cost their square, and a secret in the hash, so that no choice of names does.
class FirstCopies {
 public:
  ngx_int_t reserve(ngx_pool_t* pool, size_t count) {
    while (mask_ < 2 * count) {
      mask_ = 2 * mask_ + 1;
    }
    table_ = static_cast<Variable**>(ngx_pcalloc(pool, (mask_ + 1) * sizeof(void*)));
    return table_ == nullptr ? NGX_ERROR : NGX_OK;
  }

  // The first variable of that name, which is `variable` itself when it is the first.
  Variable* first(Variable* variable) {
    uint64_t key = hash(variable->name);
    Variable** place = &table_[key & mask_];
    while (*place != nullptr && !same_variable((*place)->name, variable->name)) {
      place = &table_[++key & mask_];
    }
    if (*place == nullptr) {
      *place = variable;
    }
    return *place;
  }

 private:
  static uint64_t hash(const ngx_str_t& name) {
    uint64_t key = secret();
    for (size_t i = 0; i < name.len; ++i) {
      key = (key ^ variable_char(name.data[i])) * 0x9e3779b97f4a7c15;
      key ^= key >> 32;
    }
    return key;
  }

  Variable** table_ = nullptr;
  size_t mask_ = 15;
};

bool is_hidden(const Params& params, const ngx_str_t& header) {
  const auto* hidden = static_cast<const ngx_str_t*>(params.hidden.elts);
  for (ngx_uint_t i = 0; i < params.hidden.nelts; ++i) {
    if (same_variable(hidden[i], header)) {
      return true;
    }
  }
  return false;
}

size_t count_headers(const ngx_http_request_t* r) {
  size_t count = 0;
  for (const ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr;
       part = part->next) {
    count += part->nelts;
  }
  return count;
}

void append_copy(Variable* first, Variable* copy) {
  static const ngx_str_t cookie = ngx_string("COOKIE");
  first->separator = same_variable(first->name, cookie) ? &kSemicolon : &kComma;
  Variable* last = first->last_copy == nullptr ? first : first->last_copy;
  last->next_copy = copy;
  first->last_copy = copy;
  copy->is_copy = true;
}

ngx_int_t add_headers(ngx_http_request_t* r, const Params& params, size_t count,
                      Variables* variables) {
  FirstCopies copies;
  if (copies.reserve(r->pool, count) != NGX_OK) {
    return NGX_ERROR;
  }
  for (const ngx_list_part_t* part = &r->headers_in.headers.part; part != nullptr;
       part = part->next) {
    const auto* headers = static_cast<const ngx_table_elt_t*>(part->elts);
    for (ngx_uint_t i = 0; i < part->nelts; ++i) {
      if (is_hidden(params, headers[i].key)) {
        continue;
      }
      Variable* variable = variables->push(kHttp, headers[i].key, headers[i].value);
      if (variable == nullptr) {
        return NGX_ERROR;
      }
      Variable* first = copies.first(variable);
      if (first != variable) {
        append_copy(first, variable);
      }
    }
  }
  return NGX_OK;
}

// The values of `params` for `r`, in the request's pool; null when one can not be had.
ngx_str_t* get_values(ngx_http_request_t* r, const Params& params) {
  const auto* sent = static_cast<const Param*>(params.sent.elts);
  auto* values =
      static_cast<ngx_str_t*>(ngx_palloc(r->pool, params.sent.nelts * sizeof(ngx_str_t)));
  for (ngx_uint_t i = 0; values != nullptr && i < params.sent.nelts; ++i) {
    if (sent[i].get(r, sent[i], &values[i]) != NGX_OK) {
      return nullptr;
    }
  }
  return values;
}

ngx_int_t add_params(const Params& params, const ngx_str_t* values, Variables* variables) {
  const auto* sent = static_cast<const Param*>(params.sent.elts);
  for (ngx_uint_t i = 0; i < params.sent.nelts; ++i) {
    if ((values[i].len != 0 || !sent[i].skip_empty) &&
        variables->push(kNoPrefix, sent[i].name, values[i]) == nullptr) {
      return NGX_ERROR;
    }
  }
  return NGX_OK;
}

constexpr size_t kOwn = 3;

ngx_int_t add_own(const ngx_str_t* id, const Params& params, bool keep_conn, Variables* variables) {
  static const ngx_str_t request_id = ngx_string("REQUEST_ID");
  static const ngx_str_t sent = ngx_string("FORKTAIL_SENT");
  static const ngx_str_t no_time = ngx_string("0000000000.000");
  static const ngx_str_t keep = ngx_string("UWSGI_KEEP_CONN");
  static const ngx_str_t one = ngx_string("1");

  if (id != nullptr && !params.has_id && variables->push(kNoPrefix, request_id, *id) == nullptr) {
    return NGX_ERROR;
  }
  variables->sent = variables->push(kNoPrefix, sent, no_time);
  if (variables->sent == nullptr ||
      (keep_conn && variables->push(kNoPrefix, keep, one) == nullptr)) {
    return NGX_ERROR;
  }
  return NGX_OK;
}

// 414 when the request would not fit without the client's headers either, since then its URI is
// what is too long.
ngx_int_t too_large(ngx_http_request_t* r, const Variables& variables, size_t size) {
  size_t headers = 0;
  for (const Variable& variable : variables) {
    if (!variable.is_copy && variable.prefix.len != 0) {
      headers += encoded_size(variable);
    }
  }
  ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                "the request makes a uwsgi packet of %uz bytes, more than the %uz that its format "
                "allows: lower \"large_client_header_buffers\" to refuse such requests earlier",
                size, kMaxPacket);
  constexpr ngx_int_t kHeadersTooLarge = 431;  // nginx has no name for it
  return size - headers > kMaxPacket ? NGX_HTTP_REQUEST_URI_TOO_LARGE : kHeadersTooLarge;
}

ngx_int_t encode_packet(ngx_http_request_t* r, const Variables& variables, size_t size) {
  const PassLocConf* conf = pass_loc_conf(r);
  PassContext* context = pass_context(r);
  ngx_buf_t* packet = ngx_create_temp_buf(r->pool, kHeadSize + size);
  if (packet == nullptr) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  *packet->last++ = static_cast<u_char>(conf->modifier1);
  packet->last = put_size(packet->last, size);
  *packet->last++ = static_cast<u_char>(conf->modifier2);
  for (const Variable& variable : variables) {
    if (variable.is_copy) {
      continue;
    }
    packet->last = encode(packet->last, variable);
    if (&variable == variables.sent) {
      context->sent = packet->last - kTimeSize;
    }
  }
  context->packet = packet;
  context->made = ngx_current_msec;
  return NGX_OK;
}

}  // namespace

ngx_int_t make_packet(ngx_http_request_t* r) {
  const PassLocConf* conf = pass_loc_conf(r);
  PassContext* context = pass_context(r);
  const Params& params = *conf->params;
  // Both can add headers, the id and a parameter whose variable another module makes: so the
  // headers are counted behind them.
  const ngx_str_t* id = ngx_http_forktail_request_id(r);
  const ngx_str_t* values = get_values(r, params);
  if (values == nullptr) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  context->asked_head = view(values[params.method]) == "HEAD";
  const size_t headers = conf->upstream.pass_request_headers ? count_headers(r) : 0;

  Variables variables;
  if (variables.reserve(r->pool, params.sent.nelts + headers + kOwn) != NGX_OK ||
      add_params(params, values, &variables) != NGX_OK ||
      (headers != 0 && add_headers(r, params, headers, &variables) != NGX_OK) ||
      add_own(id, params, context->keep_conn, &variables) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }

  size_t size = 0;
  for (const Variable& variable : variables) {
    size += variable.is_copy ? 0 : encoded_size(variable);
  }
  return size > kMaxPacket ? too_large(r, variables, size) : encode_packet(r, variables, size);
}

void stamp_packet(PassContext* context) {
  timeval now;
  ngx_gettimeofday(&now);
  ngx_sprintf(context->sent, "%010T.%03M", now.tv_sec, static_cast<ngx_msec_t>(now.tv_usec / 1000));
}

}  // namespace forktail
