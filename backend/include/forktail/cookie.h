// What Response::set_cookie() can say about a cookie: the attributes of RFC 6265, section 4.1.2.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace forktail {

// Whether requests that other sites cause bear the cookie (RFC 6265bis, section 5.6.7).
enum class SameSite {
  lax,     // only when the user follows a link
  strict,  // never
  none,    // always; browsers take it from a `secure` cookie only
};

// The defaults are the careful ones: to this host alone, over TLS alone, hidden from scripts.
struct CookieAttributes {
  std::optional<std::chrono::seconds> max_age =
      {};  // nothing: until the browser ends; 0: delete it
  std::string path = "/";
  std::string domain = {};  // empty: this host, and none below it
  bool secure = true;
  bool http_only = true;
  SameSite same_site = SameSite::lax;
};

}  // namespace forktail
