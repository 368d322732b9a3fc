// What may be taken over as an id from outside, and how a refused one is shown.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace forktail::id {

constexpr std::size_t kMinLength = 8;
constexpr std::size_t kMaxLength = 128;

namespace detail {
constexpr std::array<bool, 256> id_characters() {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789._~+/=@:-")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}
inline constexpr std::array<bool, 256> kIdCharacters = id_characters();
}  // namespace detail

// 8 to 128 characters of [A-Za-z0-9._~+/=@:-]: wide enough for every common id format, and without
// blanks, quotes, commas and control characters, so that it needs no escaping in a header or a log.
constexpr bool valid(std::string_view candidate) noexcept {
  if (candidate.size() < kMinLength || candidate.size() > kMaxLength) {
    return false;
  }
  for (const char c : candidate) {
    if (!detail::kIdCharacters[static_cast<unsigned char>(c)]) {
      return false;
    }
  }
  return true;
}

// Writes `text` to `out` as printable ASCII, control characters, bytes above 126, `"` and `\` as
// \xHH. Stops before the escape or character that would pass `limit` characters. Returns how many
// it wrote.
constexpr std::size_t escape(std::string_view text, char* out, std::size_t limit) noexcept {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::size_t size = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
    if (size + (plain ? 1 : 4) > limit) {
      break;
    }
    if (plain) {
      out[size++] = c;
    } else {
      out[size++] = '\\';
      out[size++] = 'x';
      out[size++] = kDigits[byte >> 4];
      out[size++] = kDigits[byte & 15];
    }
  }
  return size;
}

}  // namespace forktail::id
