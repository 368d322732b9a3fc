#include "foreign_conf.h"

namespace forktail {

const ngx_module_t* find_module(const ngx_cycle_t* cycle, std::string_view name) {
  for (ngx_uint_t i = 0; i < cycle->modules_n; ++i) {
    if (cycle->modules[i]->name == name) {
      return cycle->modules[i];
    }
  }
  return nullptr;
}

const void* foreign_value(ngx_conf_t* cf, std::string_view module, std::string_view directive,
                          Setter set) {
  const ngx_module_t* found = find_module(cf->cycle, module);
  const ngx_command_t* command = found == nullptr ? nullptr : found->commands;
  for (; command != nullptr && command->name.len != 0; ++command) {
    if (view(command->name) == directive && command->set == set &&
        command->conf == NGX_HTTP_LOC_CONF_OFFSET) {
      const auto* context = static_cast<const ngx_http_conf_ctx_t*>(cf->ctx);
      return static_cast<const char*>(context->loc_conf[found->ctx_index]) + command->offset;
    }
  }
  return nullptr;
}

const ngx_array_t* foreign_list(ngx_conf_t* cf, std::string_view module, std::string_view directive,
                                Setter set) {
  const void* value = foreign_value(cf, module, directive, set);
  const auto* list = value == nullptr ? nullptr : *static_cast<ngx_array_t* const*>(value);
  return list == NGX_CONF_UNSET_PTR ? nullptr : list;
}

}  // namespace forktail
