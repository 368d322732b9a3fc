// What happened to a request: its lines in one order, its phases as spans, and one sentence.
//
// Plain values; all outputs are made of these.
#pragma once

#include <string>
#include <vector>

#include "story/event.h"
#include "story/search/find.h"

namespace forktail::story {

enum class Outcome : std::uint8_t { answered, refused, failed, client_left, unknown };

struct Span {
  std::string name;  // "handling"
  std::string who;   // "worker 3"
  Micros start = kUnknown;
  Micros end = kUnknown;
  bool uncertain = false;  // where it begins is reckoned, not logged
  bool failed = false;
  std::string note;  // "502 from 127.0.0.1:8090"
  int parent = -1;   // index in the request's spans
};

struct Request {
  std::string id;
  std::string trace_id;
  std::string span_id;
  std::string method;
  std::string path;
  std::string client;
  std::string host;
  int status = -1;
  int worker = 0;
  int pid = 0;
  Micros start = kUnknown;
  Micros end = kUnknown;
  Micros grain = 1;    // of the start
  bool timed = false;  // whether a line tells how long it took
  Outcome outcome = Outcome::unknown;
  std::string verdict;
  std::vector<std::string> missing;  // "no access line: ..."
  std::vector<Span> spans;           // the first is the whole, each behind its parent
  std::vector<Event> events;         // in their order
};

struct Story {
  std::vector<Request> requests;   // by their start
  std::vector<std::string> notes;  // about the reading, not about the requests
};

// The requests in `found`: those with one id told apart, lines without an id joined to theirs.
Story tell(Found found);

// Who wrote a line: "nginx", "worker 3", "master", a service's name.
std::string who_of(const Event& event);
const char* name_of(Outcome outcome);
const char* name_of(Kind kind);

}  // namespace forktail::story
