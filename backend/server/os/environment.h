// Variables that are meant for this process alone, and numbers in text.
//
// For the one thread that a master has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace forktail::server {

// The variable's value, "" when there is none. It is removed: what this process starts must not
// take it for its own.
std::string take_variable(const char* name);

// All of `text` as a number; nothing when it is none.
std::optional<std::int64_t> whole_number(const std::string& text);

}  // namespace forktail::server
