#include "wire/packet.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace forktail::wire {
namespace {

constexpr std::size_t kLengthSize = 2;

std::uint16_t read_le16(const char* bytes) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) |
                                    static_cast<unsigned char>(bytes[1]) << 8);
}

void append_le16(std::string& out, std::size_t value) {
  out += static_cast<char>(value & 0xff);
  out += static_cast<char>(value >> 8);
}

void append_string(std::string& out, std::string_view text) {
  append_le16(out, text.size());
  out += text;
}

// Takes one length-prefixed string off the front of `data`; false when it is cut short.
bool take_string(std::string_view& data, std::string_view& out) {
  if (data.size() < kLengthSize) {
    return false;
  }
  const std::size_t size = read_le16(data.data());
  data.remove_prefix(kLengthSize);
  if (data.size() < size) {
    return false;
  }
  out = data.substr(0, size);
  data.remove_prefix(size);
  return true;
}

bool is_blank_or_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7f;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// SCGI begins with a netstring: digits and a colon.
bool is_netstring(std::string_view start) {
  const std::size_t colon = start.find(':');
  return colon != std::string_view::npos && colon > 0 &&
         std::all_of(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(colon), is_digit);
}

}  // namespace

PacketHeader read_header(std::span<const char, kHeaderSize> bytes) {
  return {static_cast<std::uint8_t>(bytes[0]), read_le16(&bytes[1]),
          static_cast<std::uint8_t>(bytes[3])};
}

std::string_view parse_variables(std::string_view data, std::vector<Variable>& out) {
  out.clear();
  while (!data.empty()) {
    Variable variable;
    if (!take_string(data, variable.name)) {
      return "the packet ends within a variable's name";
    }
    if (variable.name.empty()) {
      return "a variable has no name";
    }
    if (std::any_of(variable.name.begin(), variable.name.end(), is_blank_or_control)) {
      return "a variable's name has a blank or a control character";
    }
    if (!take_string(data, variable.value)) {
      return "the packet ends within a variable's value";
    }
    out.push_back(variable);
  }
  return {};
}

std::string_view recognise_foreign(std::span<const char, kHeaderSize> bytes) {
  constexpr std::array<std::string_view, 10> kHttpStarts{"GET ", "HEAD", "POST", "PUT ", "DELE",
                                                         "OPTI", "PATC", "CONN", "TRAC", "PRI "};
  const std::string_view start(bytes.data(), bytes.size());
  if (std::find(kHttpStarts.begin(), kHttpStarts.end(), start) != kHttpStarts.end()) {
    return "this is HTTP, not uwsgi";
  }
  if (start.starts_with("\x16\x03")) {  // a handshake record, major version 3
    return "this is TLS, not uwsgi";
  }
  if (start == std::string_view("\x01\x01\x00\x01", 4)) {  // BEGIN_REQUEST of request 1
    return "this is FastCGI, not uwsgi";
  }
  if (start == "PROX" || start == "\r\n\r\n") {
    return "this is the PROXY protocol, not uwsgi";
  }
  if (is_netstring(start)) {
    return "this is SCGI, not uwsgi";
  }
  return {};
}

std::optional<std::uint64_t> parse_content_length(std::string_view digits) {
  std::uint64_t value = 0;
  if (digits.empty()) {
    return value;
  }
  // from_chars takes no sign for an unsigned type and skips no blanks.
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end) {
    return std::nullopt;
  }
  return value;
}

std::string make_packet(std::uint8_t modifier1, std::uint8_t modifier2,
                        std::span<const Variable> variables) {
  std::size_t size = 0;
  for (const Variable& variable : variables) {
    size += 2 * kLengthSize + variable.name.size() + variable.value.size();
  }
  if (size > kMaxData) {
    throw std::length_error("the variables take " + std::to_string(size) +
                            " bytes, but a uwsgi packet holds at most " + std::to_string(kMaxData) +
                            ": send fewer or shorter headers");
  }
  std::string packet;
  packet.reserve(kHeaderSize + size);
  packet += static_cast<char>(modifier1);
  append_le16(packet, size);
  packet += static_cast<char>(modifier2);
  for (const Variable& variable : variables) {
    append_string(packet, variable.name);
    append_string(packet, variable.value);
  }
  return packet;
}

}  // namespace forktail::wire
