// What stands around a line when something else has carried it: docker-compose's and journalctl's
// prefixes, Docker's and journald's JSON, Kubernetes' CRI format; also several of them.
//
// An Unwrapper belongs to one pass over one source: it joins lines that were carried in parts.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "story/time.h"

namespace forktail::story {

struct Unwrapped {
  std::string_view text;  // valid until the next line is taken
  Stamp stamp;            // the carrier's
  std::string service;
  int pid = 0;
  bool carried = false;
};

class Unwrapper {
 public:
  explicit Unwrapper(Micros now) : now_(now) {}

  // False when the line is a part whose end comes later.
  bool take(std::string_view line, Unwrapped& out);

 private:
  bool docker_json(std::string_view line, Unwrapped& out);
  bool journal_json(std::string_view line, Unwrapped& out);
  bool cri(std::string_view line, Unwrapped& out);
  bool compose(std::string_view line, Unwrapped& out);
  bool syslog(std::string_view line, Unwrapped& out);
  bool stamped(std::string_view line, Unwrapped& out);
  bool peel(std::string_view line, Unwrapped& out);
  bool join(const std::string& stream, std::string_view part, bool last, Unwrapped& out);

  Micros now_;
  bool partial_ = false;
  std::string text_;                          // what the views of Unwrapped show
  std::map<std::string, std::string> parts_;  // by stream
};

}  // namespace forktail::story
