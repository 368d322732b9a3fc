// The variables that a packet carries besides the client's headers: the CGI ones, and what
// forktail_param adds or replaces.
//
// Made while nginx reads its configuration, shared by all locations that inherit them, read-only in
// the workers.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

struct Param;
// Puts the value of `param` for `r` into `value`, which may point into the request.
using ParamGetter = ngx_int_t (*)(ngx_http_request_t* r, const Param& param, ngx_str_t* value);

struct Param {
  ngx_str_t name;
  ParamGetter get;
  ngx_int_t variable;               // index of the nginx variable, when that is the value
  ngx_http_complex_value_t* value;  // what forktail_param says
  bool skip_empty;
};

struct Params {
  ngx_array_t sent;    // of Param, in the order in which they are sent
  ngx_uint_t method;   // which of them is REQUEST_METHOD
  bool has_id;         // one of them is REQUEST_ID
  ngx_array_t hidden;  // of ngx_str_t: headers not to be sent, by their variable's name after HTTP_
};

// The list that results from `source` (of ngx_http_upstream_param_t, may be null). Null when a
// value does not compile, which is logged.
const Params* make_params(ngx_conf_t* cf, const ngx_array_t* source);

// forktail_param NAME VALUE [if_not_empty]
char* ngx_http_forktail_pass_set_param(ngx_conf_t* cf, ngx_command_t* command, void* conf);

// Whether a variable of this name and value (as a directive has it) is sent without being asked
// for.
bool is_sent_anyway(const ngx_str_t& name, const ngx_str_t& value);

// The character that a header's character becomes in the name of its variable.
inline u_char variable_char(u_char c) {
  return c == '-' ? '_' : static_cast<u_char>(ngx_toupper(c));
}

// Whether the headers `a` and `b` become variables of one name.
bool same_variable(const ngx_str_t& a, const ngx_str_t& b);

}  // namespace forktail
