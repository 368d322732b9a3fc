#include "wire/response_head.h"

#include <algorithm>
#include <array>
#include <utility>

#include "id/validate.h"
#include "wire/http.h"

namespace forktail::wire {
namespace {

// https://www.iana.org/assignments/http-status-codes
constexpr auto kPhrases = std::to_array<std::pair<int, std::string_view>>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
});

bool belongs_to_server(std::string_view name) {
  constexpr std::array<std::string_view, 4> kOurs{"Content-Length", "Transfer-Encoding",
                                                  "Connection", "X-Request-ID"};
  return std::any_of(kOurs.begin(), kOurs.end(),
                     [&](std::string_view ours) { return equals_ignoring_case(name, ours); });
}

// Not `quoted`: of a std::string that would be std::quoted as well, wherever <iomanip> is included.
std::string in_quotes(std::string_view text) {
  std::array<char, 64> escaped{};
  const std::size_t size = id::escape(text, escaped.data(), escaped.size());
  return '"' + std::string(escaped.data(), size) + '"';
}

bool has_framing(const Response& response) {
  const int status = response.status();
  return status != 204 && (status != 304 || response.content_length().value_or(0) != 0);
}

// What is wrong with the response; empty when it can be sent.
std::string check(const Response& response) {
  if (response.status() < 200 || response.status() > 599) {
    return "the status " + std::to_string(response.status()) + " is not one of 200 to 599";
  }
  for (const Header& header : response.headers()) {
    if (!is_token(header.name)) {
      return "the header name " + in_quotes(header.name) +
             " is not a token: use letters, digits and hyphens";
    }
    if (!is_field_value(header.value)) {
      return "the value " + in_quotes(header.value) + " of the header " + header.name +
             " has a control character: remove or encode it";
    }
  }
  return {};
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

}  // namespace

bool compose_head(const Response& response, std::string_view id, bool keep, bool chunks,
                  std::string& out, std::string& wrong) {
  out.clear();
  wrong = check(response);
  if (!wrong.empty()) {
    return false;
  }
  out += "HTTP/1.1 ";
  out += std::to_string(response.status());
  out += ' ';
  out += reason_phrase(response.status());
  out += "\r\n";
  append_field(out, "X-Request-ID", id);
  for (const Header& header : response.headers()) {
    if (!belongs_to_server(header.name)) {
      append_field(out, header.name, header.value);
    }
  }
  if (has_framing(response)) {
    if (const auto length = response.content_length()) {
      append_field(out, "Content-Length", std::to_string(*length));
    } else if (chunks) {
      append_field(out, "Transfer-Encoding", "chunked");
    }
  }
  append_field(out, "Connection", keep ? "keep-alive" : "close");
  if (keep) {
    append_field(out, "Keep-Alive", "gives-back");
  }
  out += "\r\n";
  return true;
}

bool body_allowed(int status, bool head_request) {
  return !head_request && status >= 200 && status != 204 && status != 304;
}

std::string_view reason_phrase(int status) {
  const auto* found = std::lower_bound(kPhrases.begin(), kPhrases.end(), status,
                                       [](const auto& entry, int s) { return entry.first < s; });
  if (found != kPhrases.end() && found->first == status) {
    return found->second;
  }
  constexpr std::array<std::string_view, 5> kClasses{"Informational", "Successful", "Redirection",
                                                     "Client Error", "Server Error"};
  return status >= 100 && status <= 599 ? kClasses[static_cast<std::size_t>(status / 100 - 1)]
                                        : std::string_view();
}

}  // namespace forktail::wire
