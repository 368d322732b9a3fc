// `forktail doctor`: what a fork duplicates, in an application that is to be loaded or in a server
// that runs.
//
// For the command line alone, from main(), before anything else runs.
#pragma once

#include <string>
#include <vector>

#include "doctor/report.h"

namespace CLI {
class App;
}

namespace forktail::cli {

// Of --app: doctor_app.cc.
struct DoctorAppOptions {
  std::string app;
  std::vector<std::string> requests;  // "METHOD PATH"
  int processes = 2;
  bool measure = false;
};

// Loads the application as a server in preload mode would, in a process of its own, and examines
// it. What it can not do is told in the report.
doctor::Report examine_app(const DoctorAppOptions& options);

// Adds the subcommand `doctor` to `forktail`. When it is chosen, parsing runs it and sets
// `exit_code`: 0 preload is safe, 1 there are findings, 2 it could not be examined. A wrong command
// line throws CLI::ParseError.
void add_doctor_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
