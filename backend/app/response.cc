#include "forktail/response.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "wire/http.h"

namespace forktail {

namespace {

Response refusal(int status, std::string text) { return {status, "text/plain", std::move(text)}; }

bool is_missing(int error) {
  return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP ||
         error == ENXIO || error == ENODEV;  // the last two: a socket, a device without a driver
}

// cookie-octet: RFC 6265, section 4.1.1.
bool is_cookie_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '"' && c != ',' && c != ';' && c != '\\';
  });
}

// av-octet: the same section.
bool is_attribute_value(std::string_view text) {
  return wire::is_field_value(text) && text.find(';') == std::string_view::npos;
}

[[noreturn]] void refuse_cookie(std::string_view name, const std::string& why) {
  throw std::invalid_argument("the cookie " + std::string(name) + " can not be set: " + why);
}

std::string_view name_of(SameSite same_site) {
  switch (same_site) {
    case SameSite::lax:
      return "Lax";
    case SameSite::strict:
      return "Strict";
    case SameSite::none:
      return "None";
  }
  return "Strict";
}

}  // namespace

ResponseFile::~ResponseFile() { close(descriptor_); }

Response Response::file(const std::string& path, std::string_view content_type) {
  // Not blocking: opening a FIFO would wait for somebody to write to it.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) {
    if (is_missing(errno)) {
      return refusal(404, "404 Not Found\n");
    }
    if (errno == EACCES) {
      return refusal(403, "403 Forbidden\n");
    }
    throw std::system_error(errno, std::generic_category(), "can not open " + path);
  }
  auto opened = std::make_shared<ResponseFile>(descriptor);
  struct stat info {};
  if (fstat(descriptor, &info) != 0) {
    throw std::system_error(errno, std::generic_category(), "can not look at " + path);
  }
  if (!S_ISREG(info.st_mode)) {
    return refusal(404, "404 Not Found\n");
  }
  opened->size_ = static_cast<std::uint64_t>(info.st_size);
  Response response(200, content_type, {});
  response.file_ = std::move(opened);
  return response;
}

Response& Response::set_cookie(std::string_view name, std::string_view value,
                               const CookieAttributes& attributes) {
  if (!wire::is_token(name)) {
    refuse_cookie(name, "its name is not a token; use letters, digits and hyphens");
  }
  if (!is_cookie_value(value)) {
    refuse_cookie(name,
                  "its value has a character other than a cookie's; percent-encode the value");
  }
  if (!is_attribute_value(attributes.path) || !is_attribute_value(attributes.domain)) {
    refuse_cookie(name, "its path or domain has a semicolon or a control character; remove it");
  }
  std::string text = std::string(name) + '=' + std::string(value);
  if (attributes.max_age) {
    text += "; Max-Age=" + std::to_string(attributes.max_age->count());
  }
  if (!attributes.path.empty()) {
    text += "; Path=" + attributes.path;
  }
  if (!attributes.domain.empty()) {
    text += "; Domain=" + attributes.domain;
  }
  if (attributes.secure) {
    text += "; Secure";
  }
  if (attributes.http_only) {
    text += "; HttpOnly";
  }
  text += "; SameSite=";
  text += name_of(attributes.same_site);
  return add_header("Set-Cookie", text);
}

}  // namespace forktail
