// From a line as it stands in a log to an event.
//
// A Reader belongs to one pass over one source, by one thread.
#pragma once

#include <optional>
#include <string_view>

#include "story/event.h"
#include "story/read/access_format.h"
#include "story/read/wrapper.h"

namespace forktail::story {

struct ReaderOptions {
  AccessFormats formats = known_formats();
  Micros now = now_in_micros();
  Micros zone = 0;  // of stamps without one: how far ahead of UTC
};

class Reader {
 public:
  explicit Reader(const ReaderOptions& options) : options_(options), unwrapper_(options.now) {}

  // None while a line is only a part of one.
  std::optional<Event> read(std::string_view line);

  // The stamp alone.
  std::optional<Stamp> time_of(std::string_view line);

 private:
  const ReaderOptions& options_;
  Unwrapper unwrapper_;
};

}  // namespace forktail::story
