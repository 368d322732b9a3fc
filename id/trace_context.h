// W3C Trace Context (Recommendation of 2021-11-23, and the random flag of Level 2): reading and
// writing `traceparent`, and checking `tracestate`.
//
// Pure functions over text: no memory is allocated, nothing is kept, any thread may call them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace forktail::id {

constexpr std::size_t kTraceIdLength = 32;
constexpr std::size_t kSpanIdLength = 16;
constexpr std::size_t kTraceparentLength = 55;  // 00-32-16-2

// The flags that version 00 defines. All others are to be sent as zero.
constexpr std::uint8_t kSampled = 0x01;
constexpr std::uint8_t kRandomTraceId = 0x02;  // the right-most 7 bytes of the trace-id are random

struct TraceParent {
  std::string_view trace_id;
  std::string_view span_id;
  std::uint8_t flags;  // only those that version 00 defines
};

namespace detail {

constexpr bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

constexpr bool all_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_lower_hex);
}
constexpr bool all_zero(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c == '0'; });
}
constexpr std::uint8_t hex_value(char c) {
  return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
}

// string_view::substr would pull the C++ library's exception into the nginx module.
constexpr std::string_view slice(std::string_view text, std::size_t from,
                                 std::size_t count = std::string_view::npos) {
  text.remove_prefix(from);
  return {text.data(), std::min(count, text.size())};
}

// Without the optional white space of a header's ends.
constexpr std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return slice(text, first, text.find_last_not_of(kBlanks) - first + 1);
}

constexpr bool is_key_character(char c) {
  return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '*' || c == '/';
}

constexpr bool all_key_characters(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_key_character);
}

// A simple key, or tenant@system.
constexpr bool valid_key(std::string_view key) {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos) {
    return !key.empty() && key.size() <= 256 && is_lower(key[0]) && all_key_characters(key);
  }
  const std::string_view tenant = slice(key, 0, at);
  const std::string_view system = slice(key, at + 1);
  return !tenant.empty() && tenant.size() <= 241 && (is_lower(tenant[0]) || is_digit(tenant[0])) &&
         all_key_characters(tenant) && !system.empty() && system.size() <= 14 &&
         is_lower(system[0]) && all_key_characters(system);
}

// Printable ASCII without `,` and `=`; a blank at the end belongs to the list, not to the value.
constexpr bool valid_value(std::string_view value) {
  return !value.empty() && value.size() <= 256 &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

}  // namespace detail

// The fields of a traceparent that may be continued; they are views into `header`. A version above
// 00 is read by the shape of 00, as the recommendation asks, when it is at least as long and a
// longer one goes on with a dash. Nothing for a value that must be ignored: the version ff, upper
// case, an id of zeros.
constexpr std::optional<TraceParent> parse_traceparent(std::string_view header) noexcept {
  const std::string_view text = detail::trim(header);
  if (text.size() < kTraceparentLength || text[2] != '-' || text[35] != '-' || text[52] != '-') {
    return std::nullopt;
  }
  const std::string_view version = detail::slice(text, 0, 2);
  const std::string_view trace_id = detail::slice(text, 3, kTraceIdLength);
  const std::string_view span_id = detail::slice(text, 36, kSpanIdLength);
  const std::string_view flags = detail::slice(text, 53, 2);
  if (!detail::all_lower_hex(version) || !detail::all_lower_hex(trace_id) ||
      !detail::all_lower_hex(span_id) || !detail::all_lower_hex(flags)) {
    return std::nullopt;
  }
  if (version == "ff" || detail::all_zero(trace_id) || detail::all_zero(span_id)) {
    return std::nullopt;
  }
  if (text.size() > kTraceparentLength && (version == "00" || text[kTraceparentLength] != '-')) {
    return std::nullopt;
  }
  // Both flags that are defined stand in the last digit.
  const auto known =
      static_cast<std::uint8_t>(detail::hex_value(flags[1]) & (kSampled | kRandomTraceId));
  return TraceParent{trace_id, span_id, known};
}

// Writes a traceparent of version 00 to `out`, kTraceparentLength characters. `flags` are some of
// the two that version 00 defines.
constexpr void write_traceparent(char* out, std::string_view trace_id, std::string_view span_id,
                                 std::uint8_t flags) noexcept {
  *out++ = '0';
  *out++ = '0';
  *out++ = '-';
  out = std::copy(trace_id.begin(), trace_id.end(), out);
  *out++ = '-';
  out = std::copy(span_id.begin(), span_id.end(), out);
  *out++ = '-';
  *out++ = '0';
  *out = static_cast<char>('0' + flags);
}

// Writes the trace-id that a request id can serve as to `out`, kTraceIdLength characters: 32 hex
// digits, or a UUID with its dashes taken out, in lower case. False when `id` is neither, or zero.
constexpr bool write_trace_id(char* out, std::string_view id) noexcept {
  const bool dashed = id.size() == 36;
  if (!dashed && id.size() != kTraceIdLength) {
    return false;
  }
  char* end = out;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (dashed && (i == 8 || i == 13 || i == 18 || i == 23)) {
      if (id[i] != '-') {
        return false;
      }
      continue;
    }
    const char c = id[i] >= 'A' && id[i] <= 'F' ? static_cast<char>(id[i] - 'A' + 'a') : id[i];
    if (!detail::is_lower_hex(c)) {
      return false;
    }
    *end++ = c;
  }
  return !detail::all_zero({out, kTraceIdLength});
}

// Puts the tracestate headers of a request together into one list, without blanks and empty
// members. A list with a malformed member, or with more than 32, must not be passed on at all.
// Members are never cut off for length, so every list that fits nginx's own header limits arrives
// whole.
class TraceState {
 public:
  // `out` must take the sizes of all headers to come, and one character for each of them.
  explicit constexpr TraceState(char* out) noexcept : begin_(out), end_(out) {}

  constexpr void add(std::string_view header) noexcept {
    while (valid_ && !header.empty()) {
      const std::size_t comma = std::min(header.find(','), header.size());
      add_member(detail::trim(detail::slice(header, 0, comma)));
      header.remove_prefix(std::min(comma + 1, header.size()));
    }
  }

  // Empty when there is nothing that may be passed on.
  [[nodiscard]] constexpr std::string_view list() const noexcept {
    return valid_ ? std::string_view(begin_, static_cast<std::size_t>(end_ - begin_))
                  : std::string_view();
  }

 private:
  constexpr void add_member(std::string_view member) noexcept {
    if (member.empty()) {
      return;
    }
    const std::size_t equals = member.find('=');
    if (++members_ > 32 || equals == std::string_view::npos ||
        !detail::valid_key(detail::slice(member, 0, equals)) ||
        !detail::valid_value(detail::slice(member, equals + 1))) {
      valid_ = false;
      return;
    }
    if (end_ != begin_) {
      *end_++ = ',';
    }
    end_ = std::copy(member.begin(), member.end(), end_);
  }

  char* begin_;
  char* end_;
  int members_ = 0;
  bool valid_ = true;
};

}  // namespace forktail::id
