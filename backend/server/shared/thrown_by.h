// The border that no exception of the application crosses.
#pragma once

#include <exception>
#include <optional>
#include <string>

namespace forktail::server {

// Runs `step`; returns what it threw, as a phrase for a log line, or nothing. An exception may have
// no words, and may throw another one when it is destroyed.
template <typename Step>
std::optional<std::string> thrown_by(Step step) {
  try {
    try {
      step();
    } catch (const std::exception& error) {
      return error.what() == nullptr ? "an exception without words" : error.what();
    } catch (...) {
      return "something that is no std::exception";
    }
  } catch (...) {
    return "something whose destructor throws";
  }
  return std::nullopt;
}

}  // namespace forktail::server
