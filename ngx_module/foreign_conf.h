// What the configuration says in directives of nginx's own modules, to warn of what forktail makes
// void.
//
// For merge functions: nginx has merged its own modules by then. Their configurations have no
// interface, but their tables of directives say where each keeps its value; it is read only where
// the directive is set by the nginx function that says what it is.
#pragma once

#include "ngx_http_forktail.h"

namespace forktail {

using Setter = char* (*)(ngx_conf_t*, ngx_command_t*, void*);

// Null when nginx was built without it.
const ngx_module_t* find_module(const ngx_cycle_t* cycle, std::string_view name);

// The value of `directive` in the location that is being merged, which `set` has set there. Null
// when this nginx has no such directive.
const void* foreign_value(ngx_conf_t* cf, std::string_view module, std::string_view directive,
                          Setter set);

// The same for a directive that makes a list. Null, too, when it was not given.
const ngx_array_t* foreign_list(ngx_conf_t* cf, std::string_view module, std::string_view directive,
                                Setter set);

}  // namespace forktail
