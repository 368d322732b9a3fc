#include "headers.h"

namespace forktail {
namespace {

// How many headers the first part of a list holds that nginx has not made.
constexpr ngx_uint_t kFirstPart = 4;

u_char cgi_form(u_char c) { return c == '_' ? '-' : ngx_tolower(c); }

bool has(ngx_list_t& headers, const HeaderName& name) {
  bool found = false;
  each_header(headers, [&](const ngx_table_elt_t& header) {
    found = found || same_cgi_name(header.key, name);
  });
  return found;
}

void write_header(ngx_table_elt_t* header, const HeaderName& name, const ngx_str_t& value) {
  *header = {};
  header->hash = name.hash;
  header->key = name.text;
  header->value = value;
  header->lowcase_key = name.lowercase.data;
}

// The chain of parts that a list is to have: each shows a run of headers where they lie, since
// r->headers_in.host and its like point at them.
struct Runs {
  ngx_list_part_t head = {};
  ngx_list_part_t* tail = nullptr;

  bool append(ngx_pool_t* pool, ngx_table_elt_t* first, ngx_uint_t count) {
    ngx_list_part_t* part = &head;
    if (tail != nullptr) {
      part = static_cast<ngx_list_part_t*>(ngx_palloc(pool, sizeof(ngx_list_part_t)));
      if (part == nullptr) {
        return false;
      }
      tail->next = part;
    }
    *part = {first, count, nullptr};
    tail = part;
    return true;
  }
};

// Takes the headers for which `unwanted` holds out of an inbound list. Whatever is left is as if
// nginx had made it: no part is empty but the only one of an empty list. Modules that remove
// headers themselves count on that, and write past an allocation where it does not hold.
template <typename Unwanted>
bool unlink(ngx_list_t& headers, ngx_pool_t* pool, Unwanted unwanted) {
  Runs runs;
  for (ngx_list_part_t* part = &headers.part; part != nullptr; part = part->next) {
    auto* header = static_cast<ngx_table_elt_t*>(part->elts);
    ngx_uint_t run = 0;
    for (ngx_uint_t i = 0; i <= part->nelts; ++i) {
      if (i < part->nelts && !unwanted(header[i])) {
        continue;
      }
      if (i > run && !runs.append(pool, header + run, i - run)) {
        return false;
      }
      run = i + 1;
    }
  }
  if (runs.tail == nullptr) {
    return ngx_list_init(&headers, pool, kFirstPart, sizeof(ngx_table_elt_t)) == NGX_OK;
  }
  headers.part = runs.head;
  headers.last = runs.tail == &runs.head ? &headers.part : runs.tail;
  // A full last part: the next push must not write behind the run, where kept elements may lie.
  headers.nalloc = headers.last->nelts;
  return true;
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
      ngx_list_init(&headers, pool, kFirstPart, sizeof(ngx_table_elt_t)) != NGX_OK) {
    return false;
  }
  auto* header = static_cast<ngx_table_elt_t*>(ngx_list_push(&headers));
  if (header == nullptr) {
    return false;
  }
  write_header(header, name, value);
  return true;
}

bool set_header(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name,
                const ngx_str_t& value) {
  ngx_table_elt_t* first = nullptr;
  bool several = false;
  each_header(headers, [&](ngx_table_elt_t& header) {
    if (same_cgi_name(header.key, name)) {
      several = first != nullptr;
      first = first == nullptr ? &header : first;
    }
  });
  if (first == nullptr) {
    return push_header(headers, pool, name, value);
  }
  write_header(first, name, value);
  return !several || unlink(headers, pool, [&](const ngx_table_elt_t& header) {
    return &header != first && same_cgi_name(header.key, name);
  });
}

bool drop_headers(ngx_list_t& headers, ngx_pool_t* pool, const HeaderName& name) {
  return !has(headers, name) || unlink(headers, pool, [&name](const ngx_table_elt_t& header) {
    return same_cgi_name(header.key, name);
  });
}

}  // namespace forktail
