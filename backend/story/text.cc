#include "story/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace forktail::story {
namespace {

constexpr std::string_view kCut = "...";

unsigned char text_byte(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// The size in bytes of the well-formed UTF-8 character at `at`, and its code; 0 when there is none.
std::size_t utf8_at(std::string_view text, std::size_t at, char32_t& code) {
  const unsigned char lead = text_byte(text, at);
  std::size_t size = 1;
  code = lead;
  char32_t least = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2, code = lead & 0x1fU, least = 0x80;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3, code = lead & 0x0fU, least = 0x800;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4, code = lead & 0x07U, least = 0x10000;
  } else if (lead >= 0x80) {
    return 0;
  }
  if (at + size > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < size; ++i) {
    if ((text_byte(text, at + i) & 0xc0U) != 0x80) {
      return 0;
    }
    code = code << 6U | (text_byte(text, at + i) & 0x3fU);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < least || surrogate || code > 0x10ffff ? 0 : size;
}

bool harmless(char32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
  const bool invisible = code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
                         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
                         code == 0xfeff || (code >= 0xe0000 && code <= 0xe007f);
  return !control && !invisible;
}

std::optional<std::int64_t> decimal_as_micros(std::string_view text, std::int64_t unit) {
  std::size_t i = 0;
  std::int64_t whole = 0;
  for (; i < text.size() && is_digit(text[i]); ++i) {
    if (whole > INT64_C(99'999'999'999)) {
      return std::nullopt;
    }
    whole = whole * 10 + (text[i] - '0');
  }
  if (i == 0) {
    return std::nullopt;
  }
  std::int64_t fraction = 0;
  std::int64_t worth = unit;
  if (i < text.size() && text[i] == '.') {
    for (++i; i < text.size() && is_digit(text[i]); ++i) {
      worth /= 10;
      fraction += (text[i] - '0') * worth;
    }
  }
  if (i != text.size()) {
    return std::nullopt;
  }
  return whole * unit + fraction;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  out.reserve(std::min(text.size(), limit) + 8);
  for (std::size_t i = 0; i < text.size();) {
    char32_t code = 0;
    const std::size_t size = utf8_at(text, i, code);
    std::string_view shown = text.substr(i, std::max<std::size_t>(size, 1));
    std::string escaped;
    if (size == 0) {
      escaped = fmt::format("\\x{:02X}", text_byte(text, i));
    } else if (!harmless(code)) {
      escaped = code < 0x80 ? fmt::format("\\x{:02X}", static_cast<unsigned>(code))
                            : fmt::format("\\u{{{:04X}}}", static_cast<unsigned>(code));
    }
    if (!escaped.empty()) {
      shown = escaped;
    }
    if (out.size() + shown.size() > limit) {
      out.resize(std::min(out.size(), limit - std::min(limit, kCut.size())));
      return out += kCut;
    }
    out += shown;
    i += std::max<std::size_t>(size, 1);
  }
  return out;
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
  }));
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) {
    return std::string(text);
  }
  if (columns < kCut.size()) {
    return std::string(kCut.substr(0, columns));
  }
  std::size_t left = columns - kCut.size();
  std::size_t i = 0;
  while (i < text.size() && left > 0) {
    do {
      ++i;
    } while (i < text.size() && (text_byte(text, i) & 0xc0U) == 0x80);
    --left;
  }
  return std::string(text.substr(0, i)).append(kCut);
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> seconds_as_micros(std::string_view text) {
  return decimal_as_micros(text, 1'000'000);
}

std::optional<std::int64_t> millis_as_micros(std::string_view text) {
  return decimal_as_micros(text, 1'000);
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && blank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

}  // namespace forktail::story
