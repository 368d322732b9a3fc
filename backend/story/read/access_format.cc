#include "story/read/access_format.h"

#include <algorithm>

#include "story/text.h"

namespace forktail::story {
namespace {

bool of_a_name(char c) { return is_letter(c) || is_digit(c) || c == '_'; }

// nginx separates the values of several upstreams by ", " and " : ": a blank there ends nothing.
bool inside_a_list(std::string_view line, std::size_t at, std::string_view literal) {
  if (!literal.starts_with(' ')) {
    return false;
  }
  const bool after_comma = at > 0 && line[at - 1] == ',';
  const bool before_colon = line.substr(at, 3) == " : ";
  const bool after_colon = at > 1 && line.substr(at - 2, 2) == " :";
  return after_comma || before_colon || after_colon;
}

std::size_t find_end(std::string_view line, std::size_t from, std::string_view literal) {
  std::size_t at = line.find(literal, from);
  while (at != std::string_view::npos && inside_a_list(line, at, literal)) {
    at = line.find(literal, at + 1);
  }
  return at;
}

}  // namespace

AccessFormat::AccessFormat(std::string name, std::string_view text) : name_(std::move(name)) {
  Part part;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      part.literal += text[i++];
      continue;
    }
    const bool braced = i + 1 < text.size() && text[i + 1] == '{';
    std::size_t at = i + (braced ? 2 : 1);
    const std::size_t from = at;
    while (at < text.size() && of_a_name(text[at])) {
      ++at;
    }
    part.variable = text.substr(from, at - from);
    parts_.push_back(std::move(part));
    part = {};
    i = at + (braced && at < text.size() ? 1 : 0);
  }
  parts_.push_back(std::move(part));
}

std::optional<std::vector<Pair>> AccessFormat::match(std::string_view line) const {
  std::vector<Pair> values;
  std::size_t at = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (line.substr(std::min(at, line.size()), part.literal.size()) != part.literal) {
      return std::nullopt;
    }
    at += part.literal.size();
    if (part.variable.empty()) {
      break;
    }
    const Part& next = parts_[i + 1];
    std::size_t end =
        next.literal.empty() ? std::string_view::npos : find_end(line, at, next.literal);
    if (end == std::string_view::npos) {
      if (!next.variable.empty() || !next.literal.empty()) {
        return std::nullopt;  // not there, or two values that nothing separates
      }
      end = line.size();
    }
    values.push_back({part.variable, std::string(line.substr(at, end - at)), false});
    at = end;
  }
  return at == line.size() ? std::optional(values) : std::nullopt;
}

bool AccessFormat::names_itself() const {
  return parts_.front().literal.starts_with('{') ||
         parts_.front().literal.find(':') != std::string::npos;
}

AccessFormats known_formats() {
  static constexpr std::string_view kCombined =
      R"($remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent")";
  const std::string combined(kCombined);
  AccessFormats formats;
  formats.emplace_back("combined", combined);
  formats.emplace_back("ingress-nginx",
                       combined +
                           " $request_length $request_time [$proxy_upstream_name]"
                           " [$proxy_alternative_upstream_name] $upstream_addr"
                           " $upstream_response_length $upstream_response_time $upstream_status"
                           " $req_id");
  return formats;
}

}  // namespace forktail::story
