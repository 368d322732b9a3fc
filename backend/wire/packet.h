// The uwsgi packet (https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html): a header of four
// bytes, then variables, each a name and a value with two bytes of length before them, all lengths
// little-endian.
//
// Owns nothing and keeps nothing: pure functions for any process and thread. What was parsed are
// views into the caller's bytes. Nothing here trusts a byte that it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "forktail/request.h"

namespace forktail::wire {

inline constexpr std::size_t kHeaderSize = 4;
inline constexpr std::size_t kMaxData = 65535;

inline constexpr std::uint8_t kModifierRequest = 0;
inline constexpr std::uint8_t kModifierPing = 100;  // answered with modifier2 1 and no data

struct PacketHeader {
  std::uint8_t modifier1;
  std::uint16_t datasize;
  std::uint8_t modifier2;
};

PacketHeader read_header(std::span<const char, kHeaderSize> bytes);

// Fills `out` with views into `data`. Returns what is wrong, as a phrase for a log line; empty when
// `data` is well-formed: the last value ends exactly where the data does, and names are not empty
// and hold neither blanks nor control characters. Values may hold any byte. `out` is meaningless
// when something is wrong.
std::string_view parse_variables(std::string_view data, std::vector<Variable>& out);

// Which other protocol a peer speaks whose first four bytes are these, as a phrase for a log line
// ("this is HTTP, not uwsgi"); empty when they are no known one's. Never mistakes a uwsgi request
// or ping.
std::string_view recognise_foreign(std::span<const char, kHeaderSize> bytes);

// A CONTENT_LENGTH: decimal digits alone, "" being 0 (what a web server sends for a request without
// a body). Nothing for signs, blanks, and numbers above 2^64 - 1.
std::optional<std::uint64_t> parse_content_length(std::string_view digits);

// A whole packet. Throws std::length_error when the variables take more than kMaxData bytes.
std::string make_packet(std::uint8_t modifier1, std::uint8_t modifier2,
                        std::span<const Variable> variables);

}  // namespace forktail::wire
