// The commands that look through whole logs: `slow`, `errors`, `at`, `verify`.
//
// For the command line alone, from main(), before anything else runs. When one is chosen, parsing
// runs it and sets `exit_code`: 0 found (verify: all lines join), 1 none (verify: something is
// off).
#pragma once

namespace CLI {
class App;
}

namespace forktail::cli {

void add_slow_command(CLI::App& forktail, int& exit_code);
void add_errors_command(CLI::App& forktail, int& exit_code);
void add_at_command(CLI::App& forktail, int& exit_code);
void add_verify_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
