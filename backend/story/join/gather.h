// Requests picked out of whole logs, with a little of what each log says of them; bounded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "story/search/walk.h"

namespace forktail::story {

// A row of a list: of one request, from whatever lines of it were met.
struct Row {
  std::string id;
  Micros start = kUnknown;
  Micros duration = kUnknown;
  Micros nginx_queue = kUnknown;
  Micros queue = kUnknown;
  Micros handle = kUnknown;
  std::string method;
  std::string path;
  int status = -1;
  std::string who;     // of a worker
  std::string reason;  // what went wrong; empty when nothing did
  int gravity = 0;     // of the reason: the gravest is kept
};

// The `count` slowest requests that took at least `over`, the slowest first. nginx's time counts
// where there is an access line, else the server's.
std::vector<Row> slowest(const Sources& sources, const WalkOptions& options, std::size_t count,
                         Micros over, Walked& walked);

// The latest `count` requests that went wrong, by time: answered 500 or more, or with a line that
// tells of an error. `total` becomes how many there were.
std::vector<Row> failed(const Sources& sources, const WalkOptions& options, std::size_t count,
                        std::uint64_t& total, Walked& walked);

// What was in flight at `at`, by its start.
std::vector<Row> in_flight(const Sources& sources, const WalkOptions& options, Micros at,
                           Micros around, Walked& walked);

}  // namespace forktail::story
