// Whether all lines of all logs join: every request has its worker's lines, every worker's line its
// request, none is there twice, none is torn, none is lost.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "story/search/walk.h"

namespace forktail::story {

// What can be off; kFaultNames has the words.
enum class Fault : std::uint8_t {
  without_app_lines,  // an upstream was asked, and no worker's line tells of it
  without_request,    // a worker's line bears the id, no access line does
  duplicate,          // two requests have the id
  lost,               // died with its worker
  torn,               // a line that is not what its format says
  lost_lines,         // numbers are missing between a process's lines
};
constexpr std::size_t kFaults = 6;

struct FaultNames {
  const char* key;   // in JSON
  const char* text;  // in the table
};
extern const std::array<FaultNames, kFaults> kFaultNames;

// One case of a fault.
struct Case {
  std::string id;
  Micros at = kUnknown;
  int status = 0;
  std::string where;  // "access.json, byte 4711"
};

struct Verification {
  std::uint64_t lines = 0;
  std::uint64_t requests = 0;     // ids with an access line
  std::uint64_t by_nginx = 0;     // of these, those that no upstream was asked for
  std::uint64_t with_lines = 0;   // of these, those that a worker's line tells of
  std::uint64_t at_the_edge = 0;  // not judged: before the first or after the last access line
  bool access_log = false;        // whether there was any
  bool app_log = false;
  std::array<std::uint64_t, kFaults> counts{};
  std::array<std::vector<Case>, kFaults> cases;  // the first of them, by time
  std::vector<std::string> troubles;

  [[nodiscard]] bool good() const;
};

// `most_cases` of each fault are kept. Throws std::runtime_error when temporary files fail.
Verification verify(const Sources& sources, const WalkOptions& options, std::size_t most_cases);

}  // namespace forktail::story
