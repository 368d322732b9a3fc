// The options of `forktail serve`: their names, help and checks, the same on the command line and
// in the INI file.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "server/shared/options.h"

namespace forktail::cli {

// Declares them on `app`; parsing fills `options`, which must outlive it.
void declare_serve_options(CLI::App& app, server::Options& options);
void declare_config_option(CLI::App& app, std::string& file);

// Reads the INI file that `arguments` name, if any (relative to `directory`), then the arguments,
// which win. `arguments` are those behind `forktail serve`. Sockets need not be named if others are
// handed over. Throws CLI::Error.
server::Options read_serve_options(const std::vector<std::string>& arguments,
                                   const std::string& directory, bool sockets_are_handed_over);

// From the text that Options::as_ini holds.
server::Options read_options_text(const std::string& ini);

}  // namespace forktail::cli
