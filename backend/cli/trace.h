// `forktail trace ID`: what happened to one request, from the logs.
//
// For the command line alone, from main(), before anything else runs.
#pragma once

namespace CLI {
class App;
}

namespace forktail::cli {

// Adds the subcommand `trace` to `forktail`. When it is chosen, parsing runs it and sets
// `exit_code`: 0 found, 1 none.
void add_trace_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
