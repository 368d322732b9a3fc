// The three names that nginx looks up in a dynamic module, and nothing else, are exported: nginx
// opens modules with RTLD_GLOBAL, so any further name could collide with another module's.
#include "ngx_http_forktail.h"

#define FORKTAIL_EXPORT __attribute__((visibility("default")))

namespace {
constexpr char* name(const char* text) { return const_cast<char*>(text); }
// For people with a file and no sources: `strings` finds it.
[[gnu::used]] constexpr char kVersion[] = "ngx_http_forktail_module " FORKTAIL_VERSION;
}  // namespace

extern "C" {
FORKTAIL_EXPORT extern ngx_module_t* ngx_modules[];
FORKTAIL_EXPORT extern char* ngx_module_names[];
FORKTAIL_EXPORT extern char* ngx_module_order[];

ngx_module_t* ngx_modules[] = {&ngx_http_forktail_module, &ngx_http_forktail_queue_module,
                               &ngx_http_forktail_pass_module, nullptr};
char* ngx_module_names[] = {name("ngx_http_forktail_module"),
                            name("ngx_http_forktail_queue_module"),
                            name("ngx_http_forktail_pass_module"), nullptr};
// Before the module that does `add_header`, whose filter then runs first: what a configuration
// already adds is seen and not doubled. The pass part asks the other two, and is behind them: nginx
// puts at the end what has no place in the order.
char* ngx_module_order[] = {name("ngx_http_forktail_module"),
                            name("ngx_http_forktail_queue_module"),
                            name("ngx_http_headers_filter_module"), nullptr};
}
