// What whole logs hold of each id, in bounded memory: what does not fit is put aside in temporary
// files, by the id's hash, and joined at the end.
//
// One thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "story/time.h"

namespace forktail::story {

// All that is counted of an id; a plain value that is written to files as it stands.
struct Count {
  std::array<std::uint64_t, 2> key{};
  Micros first = kUnknown;   // the earliest stamp of its lines
  std::uint64_t offset = 0;  // of a line that bears it
  std::uint16_t source = 0;  // of that line
  std::uint16_t access = 0;  // lines of nginx's access log
  std::uint16_t served = 0;  // the server's lines of a finished request
  std::uint16_t app = 0;     // other lines of a worker
  std::uint16_t tries = 0;   // upstreams that nginx asked
  std::uint16_t status = 0;  // of the last access line
  std::uint8_t lost = 0;     // died with their worker
  std::uint8_t is_hex = 0;   // the key is the id itself
};

class Tally {
 public:
  // Room for so many ids in memory; each takes 64 bytes.
  explicit Tally(std::size_t room = kRoom);
  ~Tally();
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  // Adds `more` to what is counted of `id`.
  void add(std::string_view id, const Count& more);

  // Each id once, with all that was counted of it. Throws std::runtime_error when the temporary
  // files can not be written or read, or hold too many ids for their number.
  void each(const std::function<void(const Count&)>& visit);

  [[nodiscard]] bool spilled() const { return !files_.empty(); }

  static constexpr std::size_t kRoom = std::size_t{1} << 19;

 private:
  static constexpr std::size_t kFiles = 128;
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

  Count* find(const Count& key);
  bool merge(const Count& count);
  void spill();
  void clear();

  std::vector<Count> table_;
  std::size_t used_ = 0;
  std::vector<File> files_;
};

// The id that a count is of, when its key tells it: 32 hex digits.
std::string id_of(const Count& count);

}  // namespace forktail::story
