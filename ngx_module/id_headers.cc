#include "id_headers.h"

namespace forktail {
namespace {

u_char cgi_form(u_char c) { return c == '_' ? '-' : ngx_tolower(c); }

bool has(ngx_list_t& headers, const HeaderName& name) {
  bool found = false;
  each_header(headers, [&](const ngx_table_elt_t& header) {
    found = found || same_cgi_name(header.key, name);
  });
  return found;
}

// Appends to the chain a part that shows `count` elements where they lie: r->headers_in.host and
// its like point at elements, so those must not move.
ngx_list_part_t* append_run(ngx_list_part_t* tail, ngx_pool_t* pool, ngx_table_elt_t* first,
                            ngx_uint_t count) {
  auto* part = static_cast<ngx_list_part_t*>(ngx_palloc(pool, sizeof(ngx_list_part_t)));
  if (part == nullptr) {
    return nullptr;
  }
  *part = {first, count, nullptr};
  tail->next = part;
  return part;
}

}  // namespace

bool make_header_name(ngx_pool_t* pool, const ngx_str_t& text, HeaderName* name) {
  name->text = text;
  name->lowercase.len = text.len;
  name->lowercase.data = static_cast<u_char*>(ngx_pnalloc(pool, text.len));
  if (name->lowercase.data == nullptr) {
    return false;
  }
  name->hash = ngx_hash_strlow(name->lowercase.data, text.data, text.len);
  return true;
}

bool same_name(const ngx_str_t& key, const HeaderName& name) {
  return key.len == name.text.len && ngx_strncasecmp(key.data, name.text.data, key.len) == 0;
}

bool same_cgi_name(const ngx_str_t& key, const HeaderName& name) {
  if (key.len != name.lowercase.len) {
    return false;
  }
  for (size_t i = 0; i < key.len; ++i) {
    if (cgi_form(key.data[i]) != name.lowercase.data[i]) {
      return false;
    }
  }
  return true;
}

bool push_header(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name,
                 const ngx_str_t& value) {
  // HTTP/0.9 has no headers, and nginx leaves the list uninitialised.
  if (headers.last == nullptr &&
      ngx_list_init(&headers, pool, 4, sizeof(ngx_table_elt_t)) != NGX_OK) {
    return false;
  }
  auto* header = static_cast<ngx_table_elt_t*>(ngx_list_push(&headers));
  if (header == nullptr) {
    return false;
  }
  *header = {};
  header->hash = name.hash;
  header->key = name.text;
  header->value = value;
  header->lowcase_key = name.lowercase.data;
  return true;
}

bool drop_headers(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name) {
  if (!has(headers, name)) {
    return true;
  }
  ngx_list_part_t head = {};
  ngx_list_part_t* tail = &head;
  for (ngx_list_part_t* part = &headers.part; part != nullptr; part = part->next) {
    auto* header = static_cast<ngx_table_elt_t*>(part->elts);
    ngx_uint_t run = 0;
    for (ngx_uint_t i = 0; i <= part->nelts; ++i) {
      if (i < part->nelts && !same_cgi_name(header[i].key, name)) {
        continue;
      }
      // Only the first part of a list may be empty: nginx's loops look at the first element of any
      // other before they look at its count.
      if (i > run && (tail = append_run(tail, pool, header + run, i - run)) == nullptr) {
        return false;
      }
      run = i + 1;
    }
  }
  if (tail == &head) {
    return ngx_list_init(&headers, pool, 4, sizeof(ngx_table_elt_t)) == NGX_OK;
  }
  headers.part = {headers.part.elts, 0, head.next};
  headers.last = tail;
  // A full last part: the next push must not write behind the run, where kept elements may lie.
  headers.nalloc = tail->nelts;
  return true;
}

}  // namespace forktail
