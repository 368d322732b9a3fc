#include "pass_params.h"

#include "conf_args.h"
#include "pass.h"

namespace forktail {
namespace {

constexpr std::string_view kHeaderPrefix = "HTTP_";

// What the module alone may say: the server trusts these.
constexpr std::string_view kReserved[] = {"FORKTAIL_SENT", "UWSGI_KEEP_CONN"};

struct Standard {
  const char* name;
  const char* variable;
  bool skip_empty;
};

constexpr Standard kStandard[] = {
    {"QUERY_STRING", "query_string", false},   {"REQUEST_METHOD", "request_method", false},
    {"CONTENT_TYPE", "content_type", false},   {"CONTENT_LENGTH", "content_length", false},
    {"REQUEST_URI", "request_uri", false},     {"PATH_INFO", "document_uri", false},
    {"DOCUMENT_ROOT", "document_root", false}, {"SERVER_PROTOCOL", "server_protocol", false},
    {"REQUEST_SCHEME", "scheme", false},       {"HTTPS", "https", true},
    {"REMOTE_ADDR", "remote_addr", false},     {"REMOTE_PORT", "remote_port", false},
    {"SERVER_PORT", "server_port", false},     {"SERVER_NAME", "server_name", false},
};

ngx_int_t get_variable(ngx_http_request_t* r, const Param& param, ngx_str_t* value) {
  const ngx_http_variable_value_t* v =
      ngx_http_get_flushed_variable(r, static_cast<ngx_uint_t>(param.variable));
  if (v == nullptr) {
    return NGX_ERROR;
  }
  *value = v->not_found ? ngx_str_t{} : ngx_str_t{v->len, v->data};
  return NGX_OK;
}

off_t body_size(const ngx_http_request_t* r) {
  off_t size = 0;
  const ngx_chain_t* body = r->request_body != nullptr ? r->request_body->bufs : nullptr;
  for (; body != nullptr; body = body->next) {
    size += ngx_buf_size(body->buf);
  }
  return size;
}

// Of the body that is sent, which may be none though the client named a length: for an
// auth_request, a mirror, an error page. A length without a body would leave the server waiting.
ngx_int_t get_content_length(ngx_http_request_t* r, const Param& param, ngx_str_t* value) {
  *value = {};
  if (!pass_loc_conf(r)->upstream.pass_request_body) {
    return NGX_OK;
  }
  if (r->request_body_no_buffering) {
    return get_variable(r, param, value);
  }
  const off_t size = body_is_cut(r) ? 0 : body_size(r);
  if (size == 0 && r->headers_in.content_length_n < 0) {
    return NGX_OK;
  }
  value->data = static_cast<u_char*>(ngx_pnalloc(r->pool, NGX_OFF_T_LEN));
  if (value->data == nullptr) {
    return NGX_ERROR;
  }
  value->len = static_cast<size_t>(ngx_sprintf(value->data, "%O", size) - value->data);
  return NGX_OK;
}

ngx_int_t get_complex(ngx_http_request_t* r, const Param& param, ngx_str_t* value) {
  return ngx_http_complex_value(r, param.value, value);
}

// The host that nginx chose the server by, so that the application can not be told another one by
// a Host header beside an absolute request line.
ngx_int_t get_host(ngx_http_request_t* r, const Param& param, ngx_str_t* value) {
  ngx_str_t host;
  if (get_variable(r, param, &host) != NGX_OK) {
    return NGX_ERROR;
  }
  const ngx_uint_t port = request_port(r);
  if (port == 0) {
    *value = host;
    return NGX_OK;
  }
  value->data = static_cast<u_char*>(ngx_pnalloc(r->pool, host.len + sizeof(":65535") - 1));
  if (value->data == nullptr) {
    return NGX_ERROR;
  }
  value->len = static_cast<size_t>(ngx_sprintf(value->data, "%V:%ui", &host, port) - value->data);
  return NGX_OK;
}

ngx_int_t add_variable(ngx_conf_t* cf, ngx_array_t* sent, const Standard& standard,
                       ParamGetter get) {
  auto* param = static_cast<Param*>(ngx_array_push(sent));
  if (param == nullptr) {
    return NGX_ERROR;
  }
  ngx_str_t variable = to_ngx(standard.variable);
  *param = {to_ngx(standard.name), get, ngx_http_get_variable_index(cf, &variable), nullptr,
            standard.skip_empty};
  return param->variable == NGX_ERROR ? NGX_ERROR : NGX_OK;
}

ngx_int_t add_standard(ngx_conf_t* cf, ngx_array_t* sent) {
  for (const Standard& standard : kStandard) {
    const bool length = std::string_view(standard.name) == "CONTENT_LENGTH";
    if (add_variable(cf, sent, standard, length ? get_content_length : get_variable) != NGX_OK) {
      return NGX_ERROR;
    }
  }
  return add_variable(cf, sent, {"HTTP_HOST", "host", false}, get_host);
}

// Null when there is none.
Param* find_param(const ngx_array_t& sent, std::string_view name) {
  auto* params = static_cast<Param*>(sent.elts);
  for (ngx_uint_t i = 0; i < sent.nelts; ++i) {
    if (view(params[i].name) == name) {
      return &params[i];
    }
  }
  return nullptr;
}

ngx_int_t add_configured(ngx_conf_t* cf, ngx_array_t* sent,
                         const ngx_http_upstream_param_t& source) {
  // The length is that of the body that is sent. Only a copy of the line in nginx's uwsgi_params
  // would say so, and what the client named can be more: for an auth_request there is no body.
  if (view(source.key) == "CONTENT_LENGTH") {
    return NGX_OK;
  }
  Param* param = find_param(*sent, view(source.key));
  if (param == nullptr) {
    param = static_cast<Param*>(ngx_array_push(sent));
    if (param == nullptr) {
      return NGX_ERROR;
    }
  }
  auto* value =
      static_cast<ngx_http_complex_value_t*>(ngx_pcalloc(cf->pool, sizeof(*param->value)));
  if (value == nullptr) {
    return NGX_ERROR;
  }
  ngx_str_t text = source.value;
  ngx_http_compile_complex_value_t compile = {};
  compile.cf = cf;
  compile.value = &text;
  compile.complex_value = value;
  // An HTTP_ variable set to nothing only hides the client's header, as with uwsgi_param.
  const bool hides = begins_with(view(source.key), kHeaderPrefix) && source.value.len == 0;
  *param = {source.key, get_complex, 0, value, source.skip_empty != 0 || hides};
  return ngx_http_compile_complex_value(&compile);
}

// What a client's header may never say: how long the body is, beside CONTENT_LENGTH, and
// HTTP_PROXY, which libraries take for a setting of the machine.
constexpr std::string_view kNeverSent[] = {"CONTENT_LENGTH", "TRANSFER_ENCODING", "PROXY"};

ngx_int_t hide(Params* params, const ngx_str_t& header) {
  auto* hidden = static_cast<ngx_str_t*>(ngx_array_push(&params->hidden));
  if (hidden == nullptr) {
    return NGX_ERROR;
  }
  *hidden = header;
  return NGX_OK;
}

ngx_int_t hide_headers(Params* params) {
  for (const std::string_view name : kNeverSent) {
    if (hide(params, to_ngx(name)) != NGX_OK) {
      return NGX_ERROR;
    }
  }
  const auto* sent = static_cast<const Param*>(params->sent.elts);
  for (ngx_uint_t i = 0; i < params->sent.nelts; ++i) {
    const ngx_str_t& name = sent[i].name;
    if (begins_with(view(name), kHeaderPrefix) &&
        hide(params, {name.len - kHeaderPrefix.size(), name.data + kHeaderPrefix.size()}) !=
            NGX_OK) {
      return NGX_ERROR;
    }
  }
  return NGX_OK;
}

}  // namespace

const Params* make_params(ngx_conf_t* cf, const ngx_array_t* source) {
  auto* params = static_cast<Params*>(ngx_pcalloc(cf->pool, sizeof(Params)));
  if (params == nullptr ||
      ngx_array_init(&params->sent, cf->pool, std::size(kStandard) + 8, sizeof(Param)) != NGX_OK ||
      ngx_array_init(&params->hidden, cf->pool, 4, sizeof(ngx_str_t)) != NGX_OK ||
      add_standard(cf, &params->sent) != NGX_OK) {
    return nullptr;
  }
  const auto* configured =
      source ? static_cast<const ngx_http_upstream_param_t*>(source->elts) : nullptr;
  for (ngx_uint_t i = 0; source != nullptr && i < source->nelts; ++i) {
    if (add_configured(cf, &params->sent, configured[i]) != NGX_OK) {
      return nullptr;
    }
  }
  params->has_id = find_param(params->sent, "REQUEST_ID") != nullptr;
  params->method = static_cast<ngx_uint_t>(find_param(params->sent, "REQUEST_METHOD") -
                                           static_cast<Param*>(params->sent.elts));
  return hide_headers(params) == NGX_OK ? params : nullptr;
}

char* ngx_http_forktail_pass_set_param(ngx_conf_t* cf, ngx_command_t* command, void* conf) {
  const ngx_str_t& name = argument(cf, 1);
  for (const std::string_view reserved : kReserved) {
    if (view(name) == reserved) {
      return refuse_argument(cf, name, "the module itself sends it, remove the directive");
    }
  }
  if (name.len == 0) {
    return refuse_argument(cf, name, "name a variable, such as APP_ENV");
  }
  return ngx_http_upstream_param_set_slot(cf, command, conf);
}

bool is_sent_anyway(const ngx_str_t& name, const ngx_str_t& value) {
  if (view(name) == "CONTENT_LENGTH" || view(name) == "REQUEST_ID") {
    return true;
  }
  if (view(name) == "HTTP_HOST") {
    return begins_with(view(value), "$host") || view(value) == "$http_host";
  }
  for (const Standard& standard : kStandard) {
    if (view(name) == standard.name) {
      std::string_view text = view(value);
      const bool is_variable = text.starts_with('$');
      text.remove_prefix(is_variable ? 1 : 0);
      return is_variable && text == standard.variable;
    }
  }
  return false;
}

bool same_variable(const ngx_str_t& a, const ngx_str_t& b) {
  if (a.len != b.len) {
    return false;
  }
  for (size_t i = 0; i < a.len; ++i) {
    if (variable_char(a.data[i]) != variable_char(b.data[i])) {
      return false;
    }
  }
  return true;
}

bool body_is_cut(const ngx_http_request_t* r) {
  const ngx_temp_file_t* file = r->request_body != nullptr ? r->request_body->temp_file : nullptr;
  if (file != nullptr && file->file.fd == NGX_INVALID_FILE) {
    return true;  // nginx gives it up with the response: post_action comes after that
  }
  return r == r->main && r->request_body != nullptr && !r->discard_body &&
         !r->request_body_no_buffering &&
         (r->reading_body || r->headers_in.content_length_n > body_size(r));
}

}  // namespace forktail
