// A server's stats as a table for human eyes.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace forktail::cli {

// The lines, without line feeds and of printable ASCII only. `stats` is the object of the stats
// socket, forktail's or uWSGI's; `rate` the requests a second, where it is known. Throws
// nlohmann::json::exception when the object is none of these.
std::vector<std::string> top_table(const nlohmann::json& stats, std::optional<double> rate);

}  // namespace forktail::cli
