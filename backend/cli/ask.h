// One question to a server's own socket (control, stats), and all that it answers.
#pragma once

#include <string>

namespace forktail::cli {

// Connects to `address`, sends `question`, if any, and reads to the end. `option` is what the
// server must have been given to listen there. Throws std::runtime_error when nobody is there, or
// says nothing for `patience` seconds (0: any time).
std::string ask(const std::string& address, const std::string& question, const char* option,
                int patience);

}  // namespace forktail::cli
