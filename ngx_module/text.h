// Text as nginx has it (ngx_str_t) and as C++ has it (std::string_view), without a copy.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
}

#include <string_view>

namespace forktail {

inline std::string_view view(const ngx_str_t& text) {
  return {reinterpret_cast<const char*>(text.data), text.len};
}

// nginx has no word for text that it only reads: this one place gives up the `const`.
inline u_char* bytes(std::string_view text) {
  return reinterpret_cast<u_char*>(const_cast<char*>(text.data()));
}

inline ngx_str_t to_ngx(std::string_view text) { return {text.size(), bytes(text)}; }

// In any case.
inline bool same_text(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ngx_strncasecmp(bytes(a), bytes(b), a.size()) == 0;
}

// string_view::starts_with would pull the C++ library's exceptions into nginx.
inline bool begins_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && ngx_memcmp(text.data(), prefix.data(), prefix.size()) == 0;
}

// Whether `text` has `part` in it, in any case.
inline bool has_text(std::string_view text, std::string_view part) {
  return ngx_strlcasestrn(bytes(text), bytes(text) + text.size(), bytes(part), part.size() - 1) !=
         nullptr;
}

}  // namespace forktail
