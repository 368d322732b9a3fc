// The phases of a request, reckoned from its lines.
#pragma once

#include "story/tell/story.h"

namespace forktail::story {

// Puts the events of `request` into one order, its start and end to what the finest of them tell,
// and fills its spans.
void make_spans(Request& request);

// What the server's line about a request that died with its worker says: "worker 3 (pid 4711)
// killed by SIGSEGV while handling GET /orders (12 ms)".
struct Loss {
  int worker = 0;
  int pid = 0;
  std::string how;    // "killed by SIGSEGV"
  std::string doing;  // "handling"
  Micros age = kUnknown;
  bool answered = false;  // it died after it had answered
};
Loss loss_of(const Event& event);

// The event of that kind that tells the times best; null when there is none.
const Event* find_kind(const Request& request, Kind kind);
// The first event of that name; null when there is none.
const Event* find_event(const Request& request, std::string_view name);

}  // namespace forktail::story
