#include "server/options.h"

#include <fmt/format.h>

#include <sstream>

namespace forktail::server {

void set_fork_mode(Options& options, ForkMode mode) {
  options.fork_mode = mode;
  std::istringstream lines(options.as_ini);
  std::string changed;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("fork-mode ") && !line.starts_with("lazy-apps ")) {
      changed += line + "\n";
    }
  }
  options.as_ini = fmt::format("{}fork-mode = {}\n", changed, to_string(mode));
}

}  // namespace forktail::server
