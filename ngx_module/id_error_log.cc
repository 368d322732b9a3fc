#include "id_error_log.h"

namespace forktail {
namespace {

constexpr std::string_view kBefore = ", request_id: \"";
constexpr std::string_view kAfter = "\"";

u_char* append(u_char* at, std::string_view text) {
  return ngx_cpymem(at, text.data(), text.size());
}

// Writes only what is already made: anything that could log from here would come back here.
u_char* ngx_http_forktail_log_handler(ngx_http_request_t* r, ngx_http_request_t* sr, u_char* buf,
                                      size_t len) {
  const Identity* identity = find_identity(r);
  const std::string_view id = view(identity->id);
  // nginx overwrites the last character of a full line with the line feed.
  const size_t need = kBefore.size() + id.size() + kAfter.size() + NGX_LINEFEED_SIZE;
  u_char* end = nullptr;
  if (len > need) {
    end = identity->next_log_handler(r, sr, buf, len - need);
  } else {
    // The message has filled the line: its end makes way. There is always that much of it, since a
    // line holds NGX_MAX_ERROR_STR characters.
    end = buf + len - need;
  }
  return append(append(append(end, kBefore), id), kAfter);
}

}  // namespace

void tag_error_log(ngx_http_request_t* r, Identity* identity) {
  identity->next_log_handler = r->log_handler;
  r->log_handler = ngx_http_forktail_log_handler;
}

}  // namespace forktail
