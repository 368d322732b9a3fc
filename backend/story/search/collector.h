// Picks out of lines, in their order, those that belong to what is looked for, and those that may.
//
// One for each pass over one source, by one thread. What it keeps is bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "story/event.h"
#include "story/read/reader.h"
#include "story/search/id_query.h"
#include "story/search/needle.h"
#include "story/source/line_reader.h"

namespace forktail::story {

struct Collected {
  std::vector<Event> events;      // that bear the id, and what is drawn to them by standing behind
  std::vector<Event> bystanders;  // without an id: told apart when the story is known
  std::size_t mentions = 0;       // lines of other requests that hold it somewhere
  std::size_t left_out = 0;       // for want of room
};

class Collector {
 public:
  static constexpr std::size_t kMostBytes = 6U << 20;  // of a source's lines
  static constexpr std::size_t kMostBystanders = 2000;

  Collector(const IdQuery& query, const ReaderOptions& options, int source, Collected& into);

  // Every line of a stretch, so that those without an id find theirs. The event, when it could be
  // read; it is moved from when it was kept.
  std::optional<Event> take(const Line& line);

  // One line that holds the needle, alone.
  void take_alone(const Line& line);

  // Of a long stream of which nearly all lines are somebody else's: as take(), but what neither
  // holds the needle nor one of the words of a process's end is not looked at closely.
  void take_quickly(const Line& line);

 private:
  bool holds_needle(std::string_view text) const;
  bool keep(Event&& event);
  void follow(const Line& line);
  void consider(Event&& event);

  const IdQuery& query_;
  std::vector<Needle> needles_;
  Reader reader_;
  int source_;
  Collected& into_;
  std::size_t bytes_ = 0;
  std::uint64_t last_end_ = UINT64_MAX;  // where the line after the last kept one begins
  Event last_;                           // of which text the last kept line was
};

}  // namespace forktail::story
