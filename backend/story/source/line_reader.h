// Lines out of a stream of bytes, of any length, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "story/source/byte_stream.h"

namespace forktail::story {

struct Line {
  std::string_view text;     // without its line feed; valid until the next line is asked for
  std::uint64_t offset = 0;  // in the unpacked stream
  std::uint64_t size = 0;    // of the whole, line feed included
  bool cut = false;          // was longer than kLongestLine: the rest is left out
  bool ended = true;         // false: the stream ended without a line feed
};

// Docker, CRI and syslog cut at 16 KiB or less, forktail at 8 KiB.
constexpr std::size_t kLongestLine = 64U << 10;

class LineReader {
 public:
  // `offset` is where the stream's first byte stands.
  explicit LineReader(ByteStream& bytes, std::uint64_t offset = 0,
                      std::size_t buffer = 4 * kLongestLine);

  // False at the end.
  bool next(Line& line);

 private:
  bool fill();
  bool skip_rest(Line& line);

  ByteStream& bytes_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_;
  bool over_ = false;
};

}  // namespace forktail::story
