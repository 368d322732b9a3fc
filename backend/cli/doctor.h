// `forktail doctor`: what a fork duplicates, in an application that is to be loaded or in a server
// that runs.
//
// For the command line alone, from main(), before anything else runs.
#pragma once

namespace CLI {
class App;
}

namespace forktail::cli {

// Adds the subcommand `doctor` to `forktail`. When it is chosen, parsing runs it and sets
// `exit_code`: 0 preload is safe, 1 there are findings, 2 it could not be examined. A wrong command
// line throws CLI::ParseError.
void add_doctor_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
