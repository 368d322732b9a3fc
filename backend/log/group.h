// The lines of the request that a worker thread serves, gathered to be written as one block.
//
// In memory that the worker shares with the master, which writes what a killed worker has left.
// All-zero memory is a group that gathers nothing. Everything is guarded by the worker's Order; a
// process that dies as its holder leaves the lines that were complete, since the size is what
// append() changes last. Nothing throws or allocates, and nothing read here is trusted to be whole:
// the worker may have written over it before it died.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "log/order.h"

namespace forktail::log {

// A regular file, and how long it was; false when there is none.
struct FileEnd {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;

  explicit operator bool() const noexcept { return inode != 0; }
  [[nodiscard]] bool same_file(const FileEnd& other) const noexcept {
    return inode != 0 && inode == other.inode && device == other.device;
  }
};

class Group {
 public:
  static constexpr std::size_t kCapacity = 64U << 10;

  // A line without its number, which stands between the two.
  struct Record {
    std::string_view head;
    std::string_view tail;
  };

  // The group gathers the lines with this id, until end(). Without effect for an id that no line
  // could bear, or that is longer than 128 characters.
  void begin(std::string_view id) noexcept;
  void end() noexcept { id_size_ = 0; }
  [[nodiscard]] bool gathers(std::string_view id) const noexcept;

  // False when the line does not fit. Times are CLOCK_MONOTONIC.
  bool append(const Record& line, std::int64_t now_ns) noexcept;
  void clear() noexcept { size_ = lines_ = 0; }

  // Noted before the lines are written, since a killed process can not note that they are: where,
  // and behind which number. Kept until the next note, or the first line of another group.
  void note_writing(const FileEnd& end, std::uint64_t seq) noexcept {
    written_behind_ = end;
    numbered_behind_ = seq;
  }
  [[nodiscard]] FileEnd written_behind() const noexcept { return written_behind_; }
  [[nodiscard]] std::uint64_t numbered_behind() const noexcept { return numbered_behind_; }

  void drop_first(std::uint32_t lines) noexcept;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // Never more than there is room for.
  [[nodiscard]] std::uint32_t lines() const noexcept { return std::min(lines_, kMostLines); }
  // Whether the first line has waited for a second.
  [[nodiscard]] bool old(std::int64_t now_ns) const noexcept;

  // The record at `offset`, which becomes that of the next one; an empty head after the last.
  Record at(std::size_t& offset) const noexcept;

 private:
  static constexpr std::uint32_t kMostLines = kCapacity / 64;  // none is shorter

  std::int64_t first_ns_;
  FileEnd written_behind_;
  std::uint64_t numbered_behind_;
  std::uint32_t size_;
  std::uint32_t lines_;
  std::uint32_t id_size_;
  std::array<char, 128> id_;
  std::array<char, kCapacity> bytes_;
};

// What a worker gathers in: an order of its own, and a group for each of its threads.
struct Gathering {
  Order* order = nullptr;
  std::span<Group> groups;
};

}  // namespace forktail::log
