// Work with a time limit that holds whatever the work is stuck in: it is done in a process of its
// own, which is killed.
//
// To be called by a program of one thread, before it has started any.
#pragma once

#include <chrono>
#include <functional>

namespace forktail::doctor {

// Returns what `work` returns, or what `late` does when it has not ended within `limit`, or
// `crashed` when it was killed. `work` dies with the caller. What it has written to stdout before
// it was killed has been written.
struct Limited {
  std::function<int()> work;
  std::function<int()> late;
  std::function<int(int signal)> crashed;
};
int run_limited(const Limited& limited, std::chrono::milliseconds limit);

}  // namespace forktail::doctor
