#include "forktail/request.h"

#include <algorithm>
#include <cctype>

#include "wire/http.h"

namespace forktail {

namespace {

constexpr std::string_view kHeaderPrefix = "HTTP_";

// These two have no prefix (RFC 3875, sections 4.1.2 and 4.1.3).
bool is_content_header(std::string_view variable) {
  return variable == "CONTENT_TYPE" || variable == "CONTENT_LENGTH";
}

// "User-Agent" -> "HTTP_USER_AGENT" (RFC 3875, section 4.1.18).
std::string variable_name(std::string_view header) {
  std::string name(header);
  // Not by toupper(), whose outcome is the application's locale's: in Turkish `i` has no ASCII one.
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return is_content_header(name) ? name : std::string(kHeaderPrefix) + name;
}

std::string header_name(std::string_view variable) {
  std::string name(variable);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c == '_' ? '-' : wire::to_lower(c); });
  return name;
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

}  // namespace

Request::Request(std::span<const Variable> variables, std::string_view body, int body_file)
    : variables_(variables),
      body_(body),
      body_file_(body_file),
      method_(variable("REQUEST_METHOD")),
      path_(variable("PATH_INFO")),
      query_(variable("QUERY_STRING")) {}

std::string_view Request::variable(std::string_view name) const {
  const auto last = std::find_if(variables_.rbegin(), variables_.rend(),
                                 [name](const Variable& one) { return one.name == name; });
  return last == variables_.rend() ? std::string_view() : last->value;
}

std::string_view Request::header(std::string_view name) const {
  return variable(variable_name(name));
}

std::vector<Header> Request::headers() const {
  std::vector<Header> headers;
  for (const auto& [name, value] : variables_) {
    if (name.starts_with(kHeaderPrefix)) {
      headers.push_back({header_name(name.substr(kHeaderPrefix.size())), std::string(value)});
    } else if (is_content_header(name) && !value.empty()) {  // nginx sends both for every request
      headers.push_back({header_name(name), std::string(value)});
    }
  }
  return headers;
}

std::optional<std::string_view> Request::cookie(std::string_view name) const {
  std::string_view rest = header("Cookie");
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && without_blanks(pair.substr(0, equals)) == name) {
      return without_blanks(pair.substr(equals + 1));
    }
  }
  return std::nullopt;
}

Parameters Request::form() const {
  const std::string_view type = header("Content-Type");
  const bool is_form = wire::equals_ignoring_case(without_blanks(type.substr(0, type.find(';'))),
                                                  "application/x-www-form-urlencoded");
  return is_form ? Parameters(body_) : Parameters();
}

}  // namespace forktail
