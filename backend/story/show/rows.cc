#include "story/show/rows.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "story/text.h"

namespace forktail::story {
namespace {

using RowJson = nlohmann::ordered_json;

std::string millis_or_dash(Micros time) {
  return time == kUnknown ? "-" : fmt::format("{:.1f}", static_cast<double>(time) / 1000);
}

std::string asked(const Row& row) {
  return printable(row.method, 20) + (row.method.empty() ? "" : " ") + printable(row.path, 500);
}

RowJson millis_json(Micros time) {
  return time == kUnknown ? RowJson(nullptr) : RowJson(static_cast<double>(time) / 1000);
}

RowJson time_json(Micros at) { return at == kUnknown ? RowJson(nullptr) : RowJson(rfc3339(at)); }

std::string dumped(const RowJson& json) {
  return json.dump(-1, ' ', false, RowJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string rows_as_text(const std::vector<Row>& rows, bool phases,
                         const TerminalOptions& options) {
  std::string out = phases ? fmt::format("{:>10} {:>9} {:>9} {:>9}  {:<6} {}\n", "ms", "queued",
                                         "waited", "handled", "status", "request")
                           : std::string();
  for (const Row& row : rows) {
    const std::string status = row.status < 0 ? "-" : fmt::format("{}", row.status);
    const std::string when = row.start == kUnknown ? "-" : date_and_time(row.start, kMillisecond);
    std::string line;
    if (phases) {
      line = fmt::format("{:>10} {:>9} {:>9} {:>9}  {:<6} {}", millis_or_dash(row.duration),
                         millis_or_dash(row.nginx_queue), millis_or_dash(row.queue),
                         millis_or_dash(row.handle), status, asked(row));
    } else {
      line = fmt::format("{}  {:>3}  {}{}{}", when, status, asked(row),
                         row.reason.empty() ? "" : ": ", row.reason);
    }
    out += (options.columns == 80 ? line : cut_to(line, options.columns)) + "\n";
    out += fmt::format("{:>10} {}{}\n", "", printable(row.id, 140),
                       phases ? "  " + when + (row.who.empty() ? "" : "  " + row.who)
                       : row.duration != kUnknown ? "  " + duration_text(row.duration)
                                                  : "");
  }
  return out;
}

std::string rows_as_json(const std::vector<Row>& rows) {
  RowJson out = RowJson::array();
  for (const Row& row : rows) {
    RowJson one = {{"request_id", row.id},
                   {"start", time_json(row.start)},
                   {"duration_ms", millis_json(row.duration)},
                   {"nginx_queue_ms", millis_json(row.nginx_queue)},
                   {"queue_ms", millis_json(row.queue)},
                   {"handle_ms", millis_json(row.handle)},
                   {"method", row.method},
                   {"path", row.path}};
    one["status"] = row.status < 0 ? RowJson(nullptr) : RowJson(row.status);
    one["who"] = row.who;
    one["reason"] = row.reason;
    out.push_back(one);
  }
  return dumped({{"requests", out}});
}

std::string verification_as_text(const Verification& v, const TerminalOptions&) {
  std::string out =
      fmt::format("{:<38} {:>10}\n{:<38} {:>10}\n", "lines", v.lines, "requests", v.requests);
  out += fmt::format("{:<38} {:>10}\n", "  answered by nginx itself", v.by_nginx);
  out += fmt::format("{:<38} {:>10}\n", "  with a worker's lines", v.with_lines);
  if (v.at_the_edge > 0) {
    out += fmt::format("{:<38} {:>10}\n", "  not judged: at the logs' edge", v.at_the_edge);
  }
  for (std::size_t i = 0; i < kFaults; ++i) {
    out += fmt::format("{:<38} {:>10}\n", kFaultNames[i].text, v.counts[i]);
  }
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (v.cases[i].empty()) {
      continue;
    }
    out += fmt::format("\n{}:\n", kFaultNames[i].text);
    for (const Case& one : v.cases[i]) {
      const std::string status = one.status > 0 ? fmt::format("  {}", one.status) : "";
      const std::string when = one.at == kUnknown ? "" : "  " + date_and_time(one.at, kMillisecond);
      out += fmt::format("  {}{}{}  ({})\n", one.id.empty() ? "-" : printable(one.id, 140), status,
                         when, printable(one.where, 300));
    }
    if (v.counts[i] > v.cases[i].size()) {
      out += fmt::format("  and {} more (-n N shows more)\n", v.counts[i] - v.cases[i].size());
    }
  }
  if (!v.access_log) {
    out += "\nno line of an access log was read: workers' lines are not looked up in it\n";
  }
  if (!v.app_log) {
    out += "\nno worker's line was read: requests are not looked up there\n";
  }
  return out + (v.good() ? "\nall lines join\n" : "");
}

std::string verification_as_json(const Verification& v) {
  RowJson out = {{"ok", v.good()},
                 {"lines", v.lines},
                 {"requests", v.requests},
                 {"by_nginx", v.by_nginx},
                 {"with_app_lines", v.with_lines},
                 {"at_the_edge", v.at_the_edge}};
  for (std::size_t i = 0; i < kFaults; ++i) {
    RowJson cases = RowJson::array();
    for (const Case& one : v.cases[i]) {
      RowJson entry = {{"request_id", one.id}, {"ts", time_json(one.at)}, {"where", one.where}};
      if (one.status > 0) {
        entry["status"] = one.status;
      }
      cases.push_back(entry);
    }
    out[kFaultNames[i].key] = {{"count", v.counts[i]}, {"cases", cases}};
  }
  out["troubles"] = v.troubles;
  return dumped(out);
}

}  // namespace forktail::story
