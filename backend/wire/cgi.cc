#include "wire/cgi.h"

#include <algorithm>
#include <chrono>

#include "wire/http.h"

namespace forktail::wire {
namespace {

std::string value_of(const std::vector<Header>& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (equals_ignoring_case(header.name, name)) {
      return header.value;
    }
  }
  return {};
}

// What an HTTP client would have said by itself.
std::vector<Header> complete_headers(const ClientRequest& request) {
  std::vector<Header> headers = request.headers;
  if (value_of(headers, "Host").empty()) {
    headers.insert(headers.begin(), {"Host", "localhost"});
  }
  if (!request.body.empty() && value_of(headers, "Content-Length").empty()) {
    headers.push_back({"Content-Length", std::to_string(request.body.size())});
  }
  return headers;
}

// "X-Request-ID" is HTTP_X_REQUEST_ID (RFC 3875, section 4.1.18).
std::string variable_name(std::string_view header) {
  std::string name = "HTTP_";
  for (const char c : header) {
    const char lower = to_lower(c);
    if (c == '-') {
      name += '_';
    } else {
      name += lower >= 'a' && lower <= 'z' ? static_cast<char>(lower & ~0x20) : c;
    }
  }
  return name;
}

Header* find(std::vector<Header>& variables, std::string_view name) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const Header& variable) { return variable.name == name; });
  return found == variables.end() ? nullptr : &*found;
}

// A header that comes again continues its list; cookies have a separator of their own (RFC 9110,
// section 5.3, and RFC 6265, section 5.4).
void add_header(std::vector<Header>& variables, const Header& header) {
  const std::string name = variable_name(header.name);
  if (Header* known = find(variables, name)) {
    known->value += (name == "HTTP_COOKIE" ? "; " : ", ") + header.value;
  } else {
    variables.push_back({name, header.value});
  }
}

void set_variable(std::vector<Header>& variables, const Header& variable) {
  if (Header* known = find(variables, variable.name)) {
    known->value = variable.value;
  } else {
    variables.push_back(variable);
  }
}

std::string seconds_since_epoch() {
  using std::chrono::milliseconds;
  constexpr int kPerSecond = 1000;
  const auto now =
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  std::string fraction = std::to_string(now.count() % kPerSecond);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(now.count() / kPerSecond) + '.' + fraction;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  const char lower = to_lower(digit);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::vector<Header> cgi_variables(const ClientRequest& request) {
  const std::vector<Header> headers = complete_headers(request);
  const std::size_t question = request.uri.find('?');
  const bool has_query = question != std::string::npos;
  std::vector<Header> variables{
      {"QUERY_STRING", has_query ? request.uri.substr(question + 1) : std::string()},
      {"REQUEST_METHOD", request.method},
      {"CONTENT_TYPE", value_of(headers, "Content-Type")},
      {"CONTENT_LENGTH", value_of(headers, "Content-Length")},
      {"REQUEST_URI", request.uri},
      {"PATH_INFO", percent_decoded(std::string_view(request.uri).substr(0, question))},
      {"DOCUMENT_ROOT", ""},
      {"SERVER_PROTOCOL", "HTTP/1.1"},
      {"REQUEST_SCHEME", "http"},
      {"REMOTE_ADDR", "127.0.0.1"},
      {"REMOTE_PORT", "0"},
      {"SERVER_PORT", "80"},
      {"SERVER_NAME", "localhost"},
  };
  for (const Header& header : headers) {
    add_header(variables, header);
  }
  variables.push_back({"FORKTAIL_SENT", seconds_since_epoch()});
  if (request.keep) {
    variables.push_back({"UWSGI_KEEP_CONN", "1"});
  }
  for (const Header& variable : request.variables) {
    set_variable(variables, variable);
  }
  return variables;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
        hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace forktail::wire
