// The command `completion`: prints a script by which a shell completes all commands and options.
//
// For the command line alone, once all other commands have been added: it knows them by the same
// table that parses them. What it prints runs nothing, so that completing is never slow.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace forktail::cli {

void add_completion_command(CLI::App& forktail);

// The script for bash.
std::string bash_completion(const CLI::App& forktail);

}  // namespace forktail::cli
