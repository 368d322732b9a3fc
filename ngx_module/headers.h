// Header names and nginx's lists of headers.
//
// Called in the worker that serves the request; everything is allocated from the list's own pool.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

// A header's name in the forms that nginx's tables ask for.
struct HeaderName {
  ngx_str_t text;
  ngx_str_t lowercase;
  ngx_uint_t hash;
};

// False when memory ran out.
bool make_header_name(ngx_pool_t* pool, const ngx_str_t& text, HeaderName* name);

// Whether `key` is the header, in any case.
bool same_name(const ngx_str_t& key, const HeaderName& name);

// As same_name, but `_` and `-` are equal too, as they are to every CGI-like upstream.
bool same_cgi_name(const ngx_str_t& key, const HeaderName& name);

// Calls `visit(ngx_table_elt_t&)` for each header. A list that nginx never initialised, as that of
// a request refused in its first line, has none.
template <typename Visit>
void each_header(ngx_list_t& headers, Visit visit) {
  for (ngx_list_part_t* part = &headers.part; part != nullptr; part = part->next) {
    auto* header = static_cast<ngx_table_elt_t*>(part->elts);
    for (ngx_uint_t i = 0; i < part->nelts; ++i) {
      visit(header[i]);
    }
  }
}

// Appends a header. False when memory ran out.
bool push_header(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name,
                 const ngx_str_t& value);

// Both are for a list of *inbound* headers, where nginx has no mark for a deleted one, and mean all
// headers with this name by same_cgi_name. False when memory ran out.
//
// Makes the header be there once, with this value: where the first copy stood, else at the end.
bool set_header(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name,
                const ngx_str_t& value);
bool drop_headers(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name);

}  // namespace forktail
