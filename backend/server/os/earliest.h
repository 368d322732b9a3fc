// The earliest of some deadlines, of which each may be missing. A value.
#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>

namespace forktail::server {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

inline Deadline earliest(std::initializer_list<Deadline> deadlines) {
  Deadline first;
  for (const Deadline& one : deadlines) {
    if (one && (!first || *one < *first)) {
      first = one;
    }
  }
  return first;
}

}  // namespace forktail::server
