#include "cli/top_table.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>

namespace forktail::cli {

namespace {

using Json = nlohmann::json;

std::string printable(std::string text) {
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) {
      c = '?';
    }
  }
  return text;
}

std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{:.1f}M", static_cast<double>(bytes) / (1 << 20));
}

std::string age(std::int64_t ms) {
  if (ms < 10'000) {
    return fmt::format("{}ms", ms);
  }
  return ms < 600'000 ? fmt::format("{}s", ms / 1000) : fmt::format("{}m", ms / 60'000);
}

std::string row(const std::string& worker, const std::string& pid, const std::string& state,
                const std::string& age, const std::string& requests, const std::string& pss,
                const std::string& rss, const std::string& request) {
  return fmt::format("{:>7} {:>8} {:<9} {:>7} {:>10} {:>8} {:>8}  {}", worker, pid, state, age,
                     requests, pss, rss, request);
}

// Of another generation than the one that serves: it finishes what it has.
bool leaves(const Json& stats, const Json& worker) {
  return stats.contains("generation") && worker.value("generation", 0) != stats["generation"];
}

// Its number, behind its generation's if it leaves.
std::string name_of(const Json& stats, const Json& worker) {
  const auto number = worker.at("id").get<int>();
  return leaves(stats, worker) ? fmt::format("g{}:{}", worker.value("generation", 0), number)
                               : std::to_string(number);
}

std::string core_row(const std::string& name, const Json& worker, const Json& core, bool first,
                     bool only) {
  const bool busy = core.value("in_request", 0) != 0;
  const std::string status = worker.at("status").get<std::string>();
  const std::string state =
      status == "cheap" ? status : core.value("state", busy ? "busy" : "idle");
  std::string request;
  if (busy) {
    request = fmt::format("{} {} {}", core.value("method", ""), core.value("path", ""),
                          core.value("request_id", ""));
  }
  return row(only ? name : fmt::format("{}.{}", name, core.value("id", 0)),
             first && status != "cheap" ? std::to_string(worker.at("pid").get<int>()) : "",
             printable(state), busy && core.contains("age_ms") ? age(core["age_ms"]) : "",
             std::to_string(core.value("requests", std::uint64_t{0})),
             first ? mebibytes(worker.value("pss", std::uint64_t{0})) : "",
             first ? mebibytes(worker.value("rss", std::uint64_t{0})) : "", printable(request));
}

std::string tls_row(const Json& process) {
  return row(fmt::format("tls{}", process.value("id", 0)), std::to_string(process.value("pid", 0)),
             process.value("accepting", 0) != 0 ? "accepting" : "leaving", "", "", "", "",
             fmt::format("{} connections, {} in their handshake, {} failures",
                         process.value("connections", std::uint64_t{0}),
                         process.value("handshaking", std::uint64_t{0}),
                         process.value("failures", std::uint64_t{0})));
}

}  // namespace

std::vector<std::string> top_table(const Json& stats, std::optional<double> rate) {
  std::uint64_t requests = 0;
  std::uint64_t pss = 0;
  int busy = 0;
  int leaving = 0;
  std::vector<std::string> rows;
  for (const Json& worker : stats.at("workers")) {
    requests += worker.at("requests").get<std::uint64_t>();
    pss += worker.value("pss", std::uint64_t{0});
    leaving += leaves(stats, worker) ? 1 : 0;
    busy += worker.at("status") == "busy" && !leaves(stats, worker) ? 1 : 0;
    const Json& cores = worker.at("cores");
    for (std::size_t i = 0; i < cores.size(); ++i) {
      rows.push_back(core_row(name_of(stats, worker), worker, cores[i], i == 0, cores.size() == 1));
    }
  }
  for (const Json& process : stats.value("tls_processes", Json::array())) {
    rows.push_back(tls_row(process));
  }
  std::string server =
      fmt::format("{}, pid {}", stats.value("version", ""), stats.at("pid").get<int>());
  if (stats.contains("generation")) {
    server += fmt::format(", generation {}, {}", stats["generation"].get<int>(),
                          stats.value("fork_mode", ""));
  }
  std::string load = fmt::format("{} of {} workers busy, ", busy,
                                 static_cast<int>(stats.at("workers").size()) - leaving);
  if (leaving > 0) {
    load += fmt::format("{} leaving, ", leaving);
  }
  load += fmt::format("{} waiting in the listen queue, {} requests", stats.value("listen_queue", 0),
                      stats.value("requests", requests));
  if (rate) {
    load += fmt::format(" ({:.0f}/s)", *rate);
  }
  std::vector<std::string> lines{
      printable(server), load + ", PSS " + mebibytes(pss), "",
      row("WORKER", "PID", "STATE", "AGE", "REQUESTS", "PSS", "RSS", "REQUEST")};
  lines.insert(lines.end(), rows.begin(), rows.end());
  return lines;
}

}  // namespace forktail::cli
