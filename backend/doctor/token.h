// The words of an answer, and what can be told from one: is it a number, an address, a time, and
// how much chance is in it?
//
// Pure functions over text; any process and thread. Views point into the text that was given.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace forktail::doctor {

// Letters, digits and underscores, and the characters that join them in dates, UUIDs, decimals and
// base64 where they stand between (or, `=`, after) such: "2026-11-28T06:10:15.2Z", "0x7f12",
// "0.84442", "a-b-c". A colon joins digits alone, so that `count:1` are two.
std::vector<std::string_view> tokens(std::string_view text);

// A number without a sign, in decimal; none for what does not fit.
std::optional<std::uint64_t> as_number(std::string_view token);

// What may be an address: hexadecimal after 0x, or as Python's id() and pthread_self() print it, a
// decimal above 2^40.
std::optional<std::uint64_t> as_address(std::string_view token);

struct Moment {
  double seconds;     // since 1970
  double resolution;  // of the way that it was written: 1 for whole seconds
};

// A time as logs and programs write it: seconds, milli-, micro- or nanoseconds since 1970 within
// three years of `now`, or RFC 3339 (a time without a zone is UTC).
std::optional<Moment> as_moment(std::string_view token, double now);

// A time of day, "06:10:15" or with a fraction: a part of a date that was written in words.
bool is_time_of_day(std::string_view token);

// The bits that a part of `length` characters of the alphabet of `token` (digits, hexadecimal,
// letters and digits) can hold at the most.
double bits_of(std::string_view token, std::size_t length);

// How many characters are left of `one` without the beginning and the end that `other` has too.
std::size_t differing_length(std::string_view one, std::string_view other);

}  // namespace forktail::doctor
