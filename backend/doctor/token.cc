#include "doctor/token.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <string>

namespace forktail::doctor {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
// Bytes above ASCII are parts of words in other languages.
bool is_word(char c) { return is_digit(c) || is_letter(c) || c == '_' || (c & 0x80) != 0; }

bool joins(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size() || !is_word(text[at + 1])) {
    return false;
  }
  switch (text[at]) {
    case ':':
      return is_digit(text[at - 1]) && is_digit(text[at + 1]);
    case '-':
    case '.':
    case '+':
    case '/':
    case '~':
      return true;
    default:
      return false;
  }
}

std::size_t end_of_token(std::string_view text, std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < text.size() && (is_word(text[end]) || joins(text, end))) {
    ++end;
  }
  // base64's filling; `name=value` keeps its two words apart.
  std::size_t filled = end;
  while (filled < text.size() && text[filled] == '=' && filled - end < 2) {
    ++filled;
  }
  return filled < text.size() && is_word(text[filled]) ? end : filled;
}

// "1764310215" with an optional fraction, in one of the usual units.
std::optional<Moment> since_1970(std::string_view token, double now) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(token.data(), token.data() + token.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != token.data() + token.size()) {
    return std::nullopt;
  }
  constexpr double kYears = 3.0 * 366 * 86400;
  const std::size_t point = token.find('.');
  const std::size_t digits = point == std::string_view::npos ? 0 : token.size() - point - 1;
  for (const double unit : {1.0, 1e-3, 1e-6, 1e-9}) {
    if (std::abs(value * unit - now) < kYears) {
      return Moment{value * unit, unit * std::pow(10.0, -static_cast<double>(digits))};
    }
  }
  return std::nullopt;
}

// The zone at the end of an RFC 3339 time, in seconds east of Greenwich.
std::optional<int> zone(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") {
    return 0;
  }
  int hours = 0;
  int minutes = 0;
  if (std::sscanf(std::string(text.substr(1)).c_str(), "%2d:%2d", &hours, &minutes) < 1) {
    return std::nullopt;
  }
  const int seconds = hours * 3600 + minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

std::optional<Moment> rfc_3339(std::string_view token) {
  std::tm date{};
  char between = 0;
  int taken = 0;
  const std::string text(token);
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%c%2d:%2d:%2d%n", &date.tm_year, &date.tm_mon,
                  &date.tm_mday, &between, &date.tm_hour, &date.tm_min, &date.tm_sec,
                  &taken) != 7 ||
      (between != 'T' && between != 't' && between != '_')) {
    return std::nullopt;
  }
  date.tm_year -= 1900;
  date.tm_mon -= 1;
  std::string_view rest = token.substr(static_cast<std::size_t>(taken));
  double fraction = 0;
  double resolution = 1;
  if (!rest.empty() && rest[0] == '.') {
    std::size_t end = 1;
    for (; end < rest.size() && is_digit(rest[end]); ++end) {
      resolution /= 10;
      fraction += resolution * (rest[end] - '0');
    }
    rest.remove_prefix(end);
  }
  const std::optional<int> east = zone(rest);
  if (!east) {
    return std::nullopt;
  }
  return Moment{static_cast<double>(timegm(&date)) + fraction - *east, resolution};
}

}  // namespace

std::vector<std::string_view> tokens(std::string_view text) {
  std::vector<std::string_view> found;
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word(text[at])) {
      ++at;
      continue;
    }
    const std::size_t end = end_of_token(text, at);
    found.push_back(text.substr(at, end - at));
    at = end;
  }
  return found;
}

std::optional<std::uint64_t> as_number(std::string_view token) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (token.empty() || error != std::errc() || end != token.data() + token.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> as_address(std::string_view token) {
  if (token.starts_with("0x") || token.starts_with("0X")) {
    std::uint64_t value = 0;
    const char* last = token.data() + token.size();
    const auto [end, error] = std::from_chars(token.data() + 2, last, value, 16);
    return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
  }
  constexpr std::uint64_t kLow = std::uint64_t{1} << 40;
  const auto value = as_number(token);
  return value && *value >= kLow ? value : std::nullopt;
}

std::optional<Moment> as_moment(std::string_view token, double now) {
  if (token.empty() || !is_digit(token[0])) {
    return std::nullopt;
  }
  const auto dated = rfc_3339(token);
  return dated ? dated : since_1970(token, now);
}

bool is_time_of_day(std::string_view token) {
  constexpr std::string_view kForm = "00:00:00";
  if (token.size() < kForm.size()) {
    return false;
  }
  for (std::size_t i = 0; i < token.size(); ++i) {
    const bool digit = i < kForm.size() ? kForm[i] == '0' : i > kForm.size();
    if (digit ? !is_digit(token[i]) : token[i] != (i < kForm.size() ? ':' : '.')) {
      return false;
    }
  }
  return true;
}

double bits_of(std::string_view token, std::size_t length) {
  const bool digits = std::all_of(token.begin(), token.end(),
                                  [](char c) { return is_digit(c) || c == '.' || c == '-'; });
  const bool hex = std::all_of(token.begin(), token.end(),
                               [](char c) { return is_hex(c) || c == '-' || c == 'x'; });
  const double alphabet = digits ? 10 : hex ? 16 : 62;
  return static_cast<double>(length) * std::log2(alphabet);
}

std::size_t differing_length(std::string_view one, std::string_view other) {
  const std::size_t shorter = std::min(one.size(), other.size());
  std::size_t begin = 0;
  while (begin < shorter && one[begin] == other[begin]) {
    ++begin;
  }
  std::size_t end = 0;
  while (end < shorter - begin && one[one.size() - 1 - end] == other[other.size() - 1 - end]) {
    ++end;
  }
  return one.size() - begin - end;
}

}  // namespace forktail::doctor
