// `forktail serve`, and `forktail worker`, which only the server itself starts.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace forktail::cli {

// `arguments` are those behind `forktail serve`; both references must outlive the parsing.
void add_serve_command(CLI::App& forktail, const std::vector<std::string>& arguments,
                       int& exit_code);
void add_worker_command(CLI::App& forktail);

// `forktail check`: reads the options as `serve` would and says whether they would do. Exit code 0:
// yes, 1: no, 2: wrong usage.
void add_check_command(CLI::App& forktail, const std::vector<std::string>& arguments,
                       int& exit_code);

}  // namespace forktail::cli
