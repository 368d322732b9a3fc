// `forktail top`: the workers of a running server, what each is at, and what it costs, from the
// stats socket; redrawn in place on a terminal, once otherwise.
//
// For the command line alone, from main(), before anything else runs.
#pragma once

namespace CLI {
class App;
}

namespace forktail::cli {

// Adds the subcommand `top` to `forktail`. When it is chosen, parsing runs it and sets `exit_code`:
// 0, or 1 when no server could be reached.
void add_top_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
