#include "id_response.h"

#include "headers.h"
#include "id_conf.h"

namespace forktail {
namespace {

ngx_http_output_header_filter_pt g_next_header_filter;

ngx_int_t ngx_http_forktail_header_filter(ngx_http_request_t* r) {
  const auto* loc =
      static_cast<IdLocConf*>(ngx_http_get_module_loc_conf(r, ngx_http_forktail_module));
  if (r != r->main || loc->response == 0) {
    return g_next_header_filter(r);
  }
  const ngx_str_t* id = ngx_http_forktail_request_id(r);
  if (id == nullptr) {
    return g_next_header_filter(r);
  }
  const HeaderName& name =
      loc->response_header.text.len != 0 ? loc->response_header : id_srv_conf(r)->header;
  each_header(r->headers_out.headers, [&name](ngx_table_elt_t& header) {
    if (same_name(header.key, name)) {
      header.hash = 0;  // nginx's mark for a header that is not to be sent
    }
  });
  if (!push_header(r->headers_out.headers, r->pool, name, *id)) {
    return NGX_ERROR;
  }
  return g_next_header_filter(r);
}

}  // namespace

void install_response_filter() {
  g_next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = ngx_http_forktail_header_filter;
}

}  // namespace forktail
