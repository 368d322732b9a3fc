// The arguments of a directive while nginx reads its configuration, and what its setter answers.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

// What a setter returns when it has logged why it refuses, and when its directive stands twice.
inline char* const kConfError = static_cast<char*>(NGX_CONF_ERROR);
inline char kIsDuplicate[] = "is duplicate";

// Argument `i` of the directive being read; 0 is its name.
inline ngx_str_t& argument(const ngx_conf_t* cf, ngx_uint_t i) {
  return static_cast<ngx_str_t*>(cf->args->elts)[i];
}

// Logs that the directive being read can not take `value`, and what it can.
inline char* refuse_argument(ngx_conf_t* cf, const ngx_str_t& value, const char* cure) {
  ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" can not take \"%V\": %s", &argument(cf, 0),
                     &value, cure);
  return kConfError;
}

// The value of `text` when it is KEY=value; `key` ends in "=".
inline bool take_key(const ngx_str_t& text, std::string_view key, ngx_str_t* value) {
  if (!begins_with(view(text), key)) {
    return false;
  }
  *value = {text.len - key.size(), text.data + key.size()};
  return true;
}

}  // namespace forktail
