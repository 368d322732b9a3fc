// How this process was started, so that it can be started again: by the same words, in the same
// directory, with the same environment.
//
// Read by the master before it changes any of that.
#pragma once

#include <string>
#include <vector>

namespace forktail::server {

struct Program {
  std::vector<std::string> arguments;  // the program's own name first, as it was called
  std::string directory;
  std::vector<std::string> environment;  // NAME=VALUE

  static Program of_this_process();
};

}  // namespace forktail::server
