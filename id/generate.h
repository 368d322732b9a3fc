// Makes request ids: the 128 bits of a UUIDv7 (RFC 9562, section 5.7), or 128 random bits.
//
// A UUIDv7 here is built by method 3 of RFC 9562, section 6.2: rand_a holds the sub-millisecond
// clock in units of 1/4096 ms, and the 60 bits (unix_ts_ms, rand_a) are bumped by one when the
// clock has not moved on, so that the ids of one generator strictly increase, also when the clock
// is set back. rand_b is 62 fresh random bits, so generators in different processes do not repeat
// each other.
//
// Not thread-safe: one generator a thread, or a lock around it. Never throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>

#include "id/random_pool.h"

namespace forktail::id {

enum class Format {
  hex,     // UUIDv7 as 32 lowercase hex digits: nginx's $request_id shape, a legal W3C trace-id
  uuid,    // the same bits as 8-4-4-4-12
  random,  // 128 random bits as 32 hex digits, for those who must not leak the time
};

// An id as text, without a heap: 32 or 36 characters.
struct Text {
  std::array<char, 36> chars;
  std::uint8_t size;

  [[nodiscard]] std::string_view view() const noexcept { return {chars.data(), size}; }
};

// Lowercase hex of `count` bytes; `out` takes 2 * count characters. Returns the end.
inline char* write_hex(char* out, const std::uint8_t* bytes, std::size_t count) noexcept {
  constexpr char kDigits[] = "0123456789abcdef";
  for (std::size_t i = 0; i < count; ++i) {
    *out++ = kDigits[bytes[i] >> 4];
    *out++ = kDigits[bytes[i] & 15];
  }
  return out;
}

// Nanoseconds since the Unix epoch.
using Clock = std::uint64_t (*)() noexcept;

inline std::uint64_t realtime_clock() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

class Generator {
 public:
  explicit Generator(Clock clock = realtime_clock) noexcept : clock_(clock) {}

  // A new id, or nothing when the system gives no random bytes.
  std::optional<Text> next(Format format) noexcept {
    std::array<std::uint8_t, 16> bits;
    if (!random_.take(bits.data(), bits.size())) {
      return std::nullopt;
    }
    if (format != Format::random) {
      stamp(bits);
    }
    return print(bits, format);
  }

  // A random, non-zero W3C span id as 16 lowercase hex digits.
  std::optional<std::array<char, 16>> next_span() noexcept {
    std::array<std::uint8_t, 8> bits;
    if (!random_.take(bits.data(), bits.size())) {
      return std::nullopt;
    }
    bits[7] |= bits == std::array<std::uint8_t, 8>{} ? 1 : 0;
    std::array<char, 16> text;
    write_hex(text.data(), bits.data(), bits.size());
    return text;
  }

 private:
  void stamp(std::array<std::uint8_t, 16>& bits) noexcept {
    const std::uint64_t now = clock_();
    const std::uint64_t ms = now / 1'000'000;
    const std::uint64_t fraction = now % 1'000'000 * 4096 / 1'000'000;
    std::uint64_t ticks = ms << 12 | fraction;
    if (ticks <= last_ticks_) {
      ticks = last_ticks_ + 1;
    }
    last_ticks_ = ticks;
    for (int i = 0; i < 6; ++i) {
      bits[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(ticks >> (52 - 8 * i));
    }
    bits[6] = static_cast<std::uint8_t>(0x70 | (ticks >> 8 & 0x0f));  // version 7
    bits[7] = static_cast<std::uint8_t>(ticks);
    bits[8] = static_cast<std::uint8_t>(0x80 | (bits[8] & 0x3f));  // variant 10
  }

  static Text print(const std::array<std::uint8_t, 16>& bits, Format format) noexcept {
    Text text;
    char* end = text.chars.data();
    for (std::size_t i = 0; i < bits.size(); ++i) {
      if (format == Format::uuid && (i == 4 || i == 6 || i == 8 || i == 10)) {
        *end++ = '-';
      }
      end = write_hex(end, &bits[i], 1);
    }
    text.size = static_cast<std::uint8_t>(end - text.chars.data());
    return text;
  }

  RandomPool random_;
  Clock clock_;
  std::uint64_t last_ticks_ = 0;
};

}  // namespace forktail::id
