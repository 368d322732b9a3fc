// All that the logs hold of an id, read with as little as possible.
//
// An id that bears its time is found by bisection in each log that can be read anywhere; all other
// logs, and all logs for other ids, are read whole, by all cores. Memory is bounded whatever the
// size of the logs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "story/search/collector.h"
#include "story/source/source.h"

namespace forktail::story {

struct FindOptions {
  ReaderOptions reader;
  bool scan = false;  // do not trust times: read everything
  TimeRange only;     // --since, --until
  int threads = 0;    // 0: as many as there are processors
  // Called now and then with what has been read of how much, from any thread.
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

enum class How : std::uint8_t { unread, bisected, scanned };

// What was done with a source.
struct SourceReport {
  How how = How::unread;
  std::uint64_t bytes = 0;  // that were read
  std::uint64_t pages = 0;  // of 4096 bytes, for a bisected one
  std::size_t lines = 0;    // that were found
  std::string note;         // why it was not read, or not to the end, and what is odd about it
  Micros skew = 0;
  Micros looked_from = kUnknown;  // bisected: the stretch that was read
  Micros looked_until = kUnknown;
};

struct Found {
  std::vector<Event> events;  // in no order
  std::vector<Event> bystanders;
  std::vector<SourceReport> reports;  // one for each source
  std::size_t mentions = 0;
  std::size_t left_out = 0;
  bool scanned = false;  // something had to be read whole
};

Found find_id(const Sources& sources, const IdQuery& query, const FindOptions& options);

}  // namespace forktail::story
