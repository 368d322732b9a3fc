// Text of unknown origin as JSON string contents: ASCII controls, DEL, C1 controls, line and
// paragraph separators and bidirectional overrides are escaped, so that neither a line nor a
// terminal can be forged; all other characters stay readable.
//
// A byte that is no part of well-formed UTF-8 becomes \uefHH, a private-use character that ends in
// the byte's own value. The characters U+EF80 to U+EFFF of the input are escaped that way too, byte
// by byte, so that every input can be told from the output: replace each U+EFHH by the byte HH.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace forktail::log {

struct Escaped {
  std::size_t taken;    // bytes of the text
  std::size_t written;  // bytes of the output
};

constexpr std::size_t kLongestEscape = 6;  // \uHHHH

enum class Quotes { escaped, plain };

// Escapes as much of `text` as fits into `out`, cut between characters. `Quotes::plain` leaves `"`
// alone, for text that is not between quotes.
Escaped escape_json(std::string_view text, std::span<char> out,
                    Quotes quotes = Quotes::escaped) noexcept;

// Appends the whole of `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);

}  // namespace forktail::log
