#include "forktail/fork_safe.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace forktail {

namespace {

// Of the process, since a declaration is made from wherever the thing declared is made.
std::vector<ForkSafe>& declarations() {
  static std::vector<ForkSafe> all;
  return all;
}

}  // namespace

void fork_safe(std::string_view name, std::string_view why) {
  if (name.empty() || why.empty()) {
    throw std::invalid_argument("forktail::fork_safe(\"" + std::string(name) + "\", \"" +
                                std::string(why) + "\"): both must say something");
  }
  auto& all = declarations();
  const auto known = std::find_if(all.begin(), all.end(),
                                  [name](const ForkSafe& one) { return one.name == name; });
  if (known != all.end()) {
    known->why = why;
  } else {
    all.push_back({std::string(name), std::string(why)});
  }
}

std::span<const ForkSafe> fork_safe_declarations() noexcept { return declarations(); }

}  // namespace forktail
