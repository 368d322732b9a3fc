// Finds a time in a log by looking at a few of its lines.
//
// Reads a handful of blocks of a few pages each, whatever the log's size. By one thread at a time.
#pragma once

#include <cstdint>
#include <optional>

#include "story/read/reader.h"
#include "story/source/source.h"

namespace forktail::story {

class Bisection {
 public:
  // `source` must be seekable.
  Bisection(const Source& source, const ReaderOptions& options);

  // Of the first and the last line that have one; none when no line near the beginning or the end
  // has one.
  [[nodiscard]] const std::optional<Stamp>& first() const { return first_; }
  [[nodiscard]] const std::optional<Stamp>& last() const { return last_; }

  // By how much the lines' stamps differ from the times that their own ids bear: another zone, or
  // another clock. 0 when there are no such ids.
  [[nodiscard]] Micros skew() const { return skew_; }
  [[nodiscard]] std::uint64_t pages() const { return pages_; }

  // The offset of a line such that all lines before it were written before `at`, as their stamps
  // tell.
  std::uint64_t find(Micros at);

 private:
  struct Probe {
    std::uint64_t line = 0;  // where the line with the stamp begins
    Stamp stamp;
  };

  std::optional<Probe> look(std::string_view text, std::uint64_t base, std::size_t at, bool first);
  std::optional<Probe> probe(std::uint64_t from, std::uint64_t to);
  std::optional<Probe> probe_last();

  const Source& source_;
  const ReaderOptions& options_;
  std::optional<Stamp> first_;
  std::optional<Stamp> last_;
  std::optional<Micros> least_ahead_;  // of the time that an id bears, its line's stamp
  Micros skew_ = 0;
  std::uint64_t pages_ = 0;
};

}  // namespace forktail::story
