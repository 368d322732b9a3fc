// The stretch of one log in which a request's lines stand, found by bisection and widened as more
// becomes known of when it ended.
#pragma once

#include <memory>
#include <optional>

#include "story/search/bisect.h"
#include "story/search/find.h"

namespace forktail::story {

class Window {
 public:
  Window(const Source& source, int index, const IdQuery& query, const FindOptions& options,
         SourceReport& report);

  // Whether its lines tell times at all: else it has to be read whole.
  [[nodiscard]] bool usable() const { return bisection_.first() && bisection_.last(); }

  // Reads on until lines are younger than `until`, or the log's own last line of the request has
  // come, or too much has been read.
  void read_until(Micros until, Collected& into, bool to_its_end);

  // The end of the request, as this log knows it.
  [[nodiscard]] std::optional<Micros> end() const { return end_; }
  [[nodiscard]] bool exhausted() const { return at_ >= source_.size(); }

 private:
  bool read_stretch(Micros from, Micros until, Collected& into, bool to_its_end);
  void note(const Event& event);

  const Source& source_;
  int index_;
  const IdQuery& query_;
  const FindOptions& options_;
  SourceReport& report_;
  Bisection bisection_;
  TimeRange time_;
  bool quick_;  // a wide range: most lines are not looked at closely
  std::unique_ptr<Collector> collector_;
  std::uint64_t at_ = 0;
  bool begun_ = false;
  Micros youngest_ = kUnknown;
  Micros disorder_ = 0;
  std::optional<Micros> end_;
  Micros grain_ = 1;
};

}  // namespace forktail::story
