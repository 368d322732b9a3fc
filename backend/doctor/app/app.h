// The examination of an application that is to be loaded: the real server loads it, forks from it,
// and is asked.
//
// Called by one thread of a process that has no other children. Ends within its limit and leaves no
// process, whatever the application does.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "doctor/report.h"

namespace forktail::doctor {

struct AppOptions {
  std::string app;
  std::vector<std::string> requests;  // "METHOD PATH"; empty: GET /
  int processes = 2;                  // workers to compare, and to measure
  bool measure = false;
  std::chrono::milliseconds limit{30000};  // for all of it
};

// Never throws for what the application does: that is the report's.
Report examine_app(const AppOptions& options);

}  // namespace forktail::doctor
