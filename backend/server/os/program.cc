#include "server/os/program.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace forktail::server {

Program Program::of_this_process() {
  Program program;
  std::ifstream words("/proc/self/cmdline");
  for (std::string word; std::getline(words, word, '\0');) {
    program.arguments.push_back(word);
  }
  program.directory = std::filesystem::current_path().string();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    program.environment.emplace_back(*variable);
  }
  return program;
}

}  // namespace forktail::server
