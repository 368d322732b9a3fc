// The three names that nginx looks up in a dynamic module, and nothing else, are exported: nginx
// opens modules with RTLD_GLOBAL, so any further name could collide with another module's.
#include "ngx_http_forktail.h"

#define FORKTAIL_EXPORT __attribute__((visibility("default")))

extern "C" {
FORKTAIL_EXPORT extern ngx_module_t* ngx_modules[];
FORKTAIL_EXPORT extern char* ngx_module_names[];
FORKTAIL_EXPORT extern char* ngx_module_order[];

ngx_module_t* ngx_modules[] = {&ngx_http_forktail_module, &ngx_http_forktail_pass_module, nullptr};
char* ngx_module_names[] = {const_cast<char*>("ngx_http_forktail_module"),
                            const_cast<char*>("ngx_http_forktail_pass_module"), nullptr};
// Before the module that does `add_header`, whose filter then runs first: a configuration that
// already adds the id's header does not get it twice.
char* ngx_module_order[] = {const_cast<char*>("ngx_http_forktail_module"),
                            const_cast<char*>("ngx_http_headers_filter_module"), nullptr};
}
