// `forktail ctl`: asks a running server for something and waits for the outcome.
#pragma once

#include <CLI/CLI.hpp>

namespace forktail::cli {

// Exit code 0: done; 1: failed, with the reason on standard error; 2: wrong usage.
void add_ctl_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
