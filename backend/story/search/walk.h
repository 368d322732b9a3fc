// All lines of all logs, one log after the other, each in its own order.
//
// For the commands that look at everything; memory is bounded. Lines are understood by several
// threads, and visited by the one that calls.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "story/event.h"
#include "story/search/find.h"
#include "story/source/source.h"

namespace forktail::story {

struct WalkOptions {
  ReaderOptions reader;
  TimeRange only;  // lines of a log that can be read anywhere: others are not even read
  std::function<void(std::uint64_t, std::uint64_t)> progress;
  int threads = 0;  // 0: as many as there are processors
};

struct Walked {
  std::uint64_t lines = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> troubles;  // of sources that could not be read to their end
};

// Calls `visit` with what each line says, and whether it ended in a line feed. It ends the walk
// over a source by returning false.
Walked walk(const Sources& sources, const WalkOptions& options,
            const std::function<bool(Event&, bool ended)>& visit);

}  // namespace forktail::story
