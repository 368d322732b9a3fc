// Text of unknown origin, made harmless and cut to a width; and small scanners that lines need.
//
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace forktail::story {

// `text` as it may be shown on a terminal or in a page: controls, DEL, C1, separators, characters
// that reverse the writing direction, and bytes that are no UTF-8 become \xHH or \u{HHHH}. At most
// `limit` bytes; what was cut is marked by "...".
std::string printable(std::string_view text, std::size_t limit = SIZE_MAX);

// How many columns printable text takes; characters count as one, which is right for most logs.
std::size_t columns_of(std::string_view text);

// The beginning of printable text that fits into so many columns, "..." included when cut.
std::string cut_to(std::string_view text, std::size_t columns);

// The number that the whole of `text` is; none when it is none, or too large.
std::optional<std::int64_t> whole_number(std::string_view text);

// "0.003" as a count of microseconds: digits, perhaps a point and a fraction. None for others.
std::optional<std::int64_t> seconds_as_micros(std::string_view text);

// The same of milliseconds, with a fraction.
std::optional<std::int64_t> millis_as_micros(std::string_view text);

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view trimmed(std::string_view text);
std::string lower(std::string_view text);

}  // namespace forktail::story
