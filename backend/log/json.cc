#include "log/json.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace forktail::log {

namespace {

struct Character {
  char32_t code;
  std::size_t size;  // in bytes; 0: the text begins with no well-formed character
};

constexpr unsigned char byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// Well-formed UTF-8 is table 3-7 of the Unicode standard: no overlong form, no surrogate, nothing
// above U+10FFFF. Only the second byte's range depends on the first.
Character first_character(std::string_view text) {
  const unsigned char lead = byte_at(text, 0);
  if (lead < 0x80) {
    return {lead, 1};
  }
  std::size_t size = 0;
  char32_t code = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2;
    code = lead & 0x1fU;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3;
    code = lead & 0x0fU;
    low = lead == 0xe0 ? 0xa0 : low;
    high = lead == 0xed ? 0x9f : high;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4;
    code = lead & 0x07U;
    low = lead == 0xf0 ? 0x90 : low;
    high = lead == 0xf4 ? 0x8f : high;
  }
  if (size == 0 || size > text.size()) {
    return {0, 0};
  }
  for (std::size_t i = 1; i < size; ++i) {
    const unsigned char byte = byte_at(text, i);
    if (byte < low || byte > high) {
      return {0, 0};
    }
    code = (code << 6) | (byte & 0x3fU);
    low = 0x80;
    high = 0xbf;
  }
  return {code, size};
}

constexpr bool stands_for_a_byte(char32_t code) { return code >= 0xef80 && code <= 0xefff; }

constexpr bool deceives_a_reader(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f)  // C0, DEL, C1
         || (code >= 0x2028 && code <= 0x202e)          // separators, embeddings and overrides
         || (code >= 0x2066 && code <= 0x2069);         // isolates
}

constexpr std::array<bool, 256> plain_bytes() {
  std::array<bool, 256> plain{};
  for (unsigned byte = 0x20; byte < 0x7f; ++byte) {
    plain[byte] = byte != '"' && byte != '\\';
  }
  return plain;
}
constexpr std::array<bool, 256> kPlain = plain_bytes();

using EscapeBuffer = std::array<char, kLongestEscape>;

std::string_view escape(char32_t code, EscapeBuffer& out) {
  constexpr std::string_view kShort = "\n\r\t\"\\";
  constexpr std::string_view kLetters = "nrt\"\\";
  if (const std::size_t at = code < 0x80 ? kShort.find(static_cast<char>(code)) : kShort.npos;
      at != kShort.npos) {
    out[0] = '\\';
    out[1] = kLetters[at];
    return {out.data(), 2};
  }
  constexpr char kDigits[] = "0123456789abcdef";
  out = {'\\',
         'u',
         kDigits[code >> 12 & 15],
         kDigits[code >> 8 & 15],
         kDigits[code >> 4 & 15],
         kDigits[code & 15]};
  return {out.data(), out.size()};
}

}  // namespace

Escaped escape_json(std::string_view text, std::span<char> out, Quotes quotes) noexcept {
  std::size_t taken = 0;
  std::size_t written = 0;
  EscapeBuffer buffer;
  const auto put = [&](std::string_view piece, std::size_t from) {
    if (piece.size() > out.size() - written) {
      return false;
    }
    std::memcpy(out.data() + written, piece.data(), piece.size());
    written += piece.size();
    taken += from;
    return true;
  };

  while (taken < text.size()) {
    std::size_t run = taken;
    const std::size_t stop = std::min(text.size(), taken + (out.size() - written));
    while (run < stop && kPlain[byte_at(text, run)]) {
      ++run;
    }
    put(text.substr(taken, run - taken), run - taken);
    if (taken == text.size()) {
      break;
    }

    const std::string_view rest = text.substr(taken);
    const Character next = first_character(rest);
    const bool quote = next.code == '"' && quotes == Quotes::plain;
    bool fits = false;
    if (next.size == 0 || stands_for_a_byte(next.code)) {
      fits = put(escape(0xef00U | byte_at(rest, 0), buffer), 1);
    } else if (!quote && (deceives_a_reader(next.code) || next.code == '"' || next.code == '\\')) {
      fits = put(escape(next.code, buffer), next.size);
    } else {
      fits = put(rest.substr(0, next.size), next.size);
    }
    if (!fits) {
      break;
    }
  }
  return {taken, written};
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  std::array<char, 1024> piece;
  while (!text.empty()) {
    const Escaped done = escape_json(text, piece);
    out.append(piece.data(), done.written);
    text.remove_prefix(done.taken);
  }
  out.push_back('"');
}

}  // namespace forktail::log
