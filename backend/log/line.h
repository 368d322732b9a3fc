// One event as one line of text, JSON or for human eyes: docs/logs.md is the contract.
//
// A Line is a value on the stack of the thread that composes it; nothing here allocates or locks.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "forktail/api.h"
#include "forktail/context.h"

namespace forktail::log {

// The longest line, newline included.
inline constexpr std::size_t kMaxLine = 8192;
// The shortest limit that a Line can be composed under.
inline constexpr std::size_t kMinLine = 4096;

// What every line in JSON begins with. Nothing else in it has these bytes: quotes are escaped.
inline constexpr std::string_view kJsonStart = "{\"ts\":\"";

enum class Format { json, text };

// Which process of the server writes. Worker 0 is a master or a template, generation 0 a process
// that belongs to none; both are left out of the line then.
struct Identity {
  int worker = 0;
  int generation = 0;
};

// What a line tells beyond its message. The name must not be one that every line has, nor `event`.
struct Field {
  using List = std::span<const std::string_view>;

  std::string_view name;
  // A duration is written as a number of milliseconds.
  std::variant<std::string_view, std::int64_t, std::chrono::nanoseconds, List> value;
};

struct Event {
  std::chrono::system_clock::time_point time;
  std::string_view level;
  std::string_view request_id;  // empty: none
  Trace trace;                  // empty: none
  int pid;
  int tid;
  Identity identity;
  std::string_view source_file;  // empty: unknown; only its last component is shown
  int source_line;
  std::string_view message;
  std::string_view kind;  // what a line of the server's is about; empty: a line of the application
  std::span<const Field> fields;
};

class Line {
 public:
  // Composes `event` so that the line, newline included, has at most `limit` bytes (kMinLine to
  // kMaxLine). What does not fit is left out of the message and the fields, and counted.
  Line(const Event& event, Format format, std::size_t limit) noexcept;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  // The line with its number in the process. To be called once: numbering moves the bytes.
  // Separate from composing, so that a lock need be held only for the number and the write.
  std::string_view numbered(std::uint64_t seq) noexcept FORKTAIL_LIFETIMEBOUND;

  // What stands before the number and after it.
  [[nodiscard]] std::string_view head() const noexcept FORKTAIL_LIFETIMEBOUND {
    return {bytes_.data(), head_size_};
  }
  [[nodiscard]] std::string_view tail() const noexcept FORKTAIL_LIFETIMEBOUND {
    return {bytes_.data() + head_size_ + kSeqRoom, size_ - head_size_ - kSeqRoom};
  }

 private:
  static constexpr std::size_t kSeqRoom = 20;  // digits of 2^64 - 1

  std::array<char, kMaxLine> bytes_;
  std::size_t head_size_;  // the head stands before the room for the number, the tail after it
  std::size_t size_;
};

}  // namespace forktail::log
