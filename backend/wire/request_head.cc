#include "wire/request_head.h"

#include <charconv>
#include <utility>

#include "wire/http.h"
#include "wire/packet.h"

namespace forktail::wire {
namespace {

// "1764000000.123": seconds and exactly three digits.
std::optional<std::chrono::milliseconds> parse_time(std::string_view text) {
  constexpr std::size_t kMillisecondDigits = 3;
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || dot == 0 || text.size() - dot - 1 != kMillisecondDigits) {
    return std::nullopt;
  }
  const auto seconds = parse_content_length(text.substr(0, dot));
  const auto milliseconds = parse_content_length(text.substr(dot + 1));
  constexpr std::uint64_t kFarFuture = 1ULL << 40;
  if (!seconds || !milliseconds || *seconds > kFarFuture) {
    return std::nullopt;
  }
  return std::chrono::seconds(*seconds) + std::chrono::milliseconds(*milliseconds);
}

}  // namespace

void RequestHead::clear() {
  std::vector<Variable> memory = std::move(variables);
  memory.clear();
  *this = {};
  variables = std::move(memory);
}

std::string_view read_head(std::string_view data, RequestHead& out) {
  out.clear();
  if (const auto wrong = parse_variables(data, out.variables); !wrong.empty()) {
    return wrong;
  }
  std::erase_if(out.variables, [](const Variable& sent) { return sent.name == kTlsPeerSubject; });

  std::optional<std::string_view> method;
  std::optional<std::string_view> length;
  for (const auto& [name, value] : out.variables) {
    if (name == "REQUEST_METHOD") {
      if (method.value_or(value) != value) {
        return "REQUEST_METHOD is given twice with different values";
      }
      method = value;
    } else if (name == "CONTENT_LENGTH") {
      if (length.value_or(value) != value) {
        return "CONTENT_LENGTH is given twice with different values";
      }
      length = value;
    } else if (name == "PATH_INFO") {
      out.path = value;
    } else if (name == "QUERY_STRING") {
      out.query = value;
    } else if (name == "REQUEST_ID") {
      out.request_id = value;
    } else if (name == "HTTP_X_REQUEST_ID") {
      out.header_id = value;
    } else if (name == "HTTP_TRACEPARENT") {
      out.traceparent = value;
    } else if (name == "UWSGI_KEEP_CONN") {
      out.keep = value == "1";
    } else if (name == "FORKTAIL_SENT") {
      out.sent = parse_time(value);
    }
  }

  if (!method) {
    return "REQUEST_METHOD is missing";
  }
  if (!is_token(*method)) {
    return "REQUEST_METHOD is not a method's name";
  }
  out.method = *method;
  const auto content_length = parse_content_length(length.value_or(""));
  if (!content_length) {
    return "CONTENT_LENGTH is not a number";
  }
  out.content_length = *content_length;
  return {};
}

}  // namespace forktail::wire
