#include "doctor/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "log/json.h"

namespace forktail::doctor {

namespace {

using Json = nlohmann::ordered_json;

// Names of threads, files and tokens come from what is examined: none of them may move the cursor.
std::string printable(std::string_view text) {
  std::string out(text.size() * log::kLongestEscape, '\0');
  out.resize(log::escape_json(text, out, log::Quotes::plain).written);
  return out;
}

void add_line(std::string& text, std::string_view label, std::string_view value) {
  if (!value.empty()) {
    text += fmt::format("     {:<9} {}\n", label, printable(value));
  }
}

// `like`: the number of one that was told before, whose harm and cure are the same; or 0.
void add_finding(std::string& text, std::string_view mark, const Finding& finding, int like) {
  text += fmt::format("{:>4} {}\n", mark, printable(finding.what));
  add_line(text, "evidence", finding.evidence);
  add_line(text, "made by", finding.maker);
  if (like > 0) {
    add_line(text, fmt::format("as in {}", like), "harm and cure");
    return add_line(text, "name", finding.name());
  }
  add_line(text, "harm", finding.why);
  if (finding.declared) {
    add_line(text, "declared", *finding.declared);
  } else {
    add_line(text, "cure", finding.cure);
  }
  add_line(text, "name", finding.name());
}

std::string text_of(const Table::Cell& cell) {
  if (const auto* word = std::get_if<std::string>(&cell)) {
    return printable(*word);
  }
  if (const auto* number = std::get_if<std::int64_t>(&cell)) {
    return fmt::format("{}", *number);
  }
  return fmt::format("{:.1f}", std::get<double>(cell));
}

void add_table(std::string& text, const Table& table) {
  std::vector<std::size_t> widths;
  for (const std::string& column : table.columns) {
    widths.push_back(column.size());
  }
  std::vector<std::vector<std::string>> rows{table.columns};
  for (const auto& row : table.rows) {
    std::vector<std::string>& words = rows.emplace_back();
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      words.push_back(text_of(row[i]));
      widths[i] = std::max(widths[i], words.back().size());
    }
  }
  text += fmt::format("\n{}:\n", table.name);
  for (const auto& row : rows) {
    text += "  ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      // The first column names the row.
      text += i == 0 ? fmt::format("  {:<{}}", row[i], widths[i])
                     : fmt::format("  {:>{}}", row[i], widths[i]);
    }
    text += '\n';
  }
}

// Those that count, then those that do not, then those that were declared.
template <typename Wanted>
void add_findings(std::string& text, const Report& report, std::string_view title, bool numbered,
                  Wanted wanted) {
  int number = 0;
  std::map<std::pair<std::string_view, std::string_view>, int> told;  // harm and cure, and where
  for (const Finding& finding : report.findings) {
    if (wanted(finding)) {
      text += number == 0 ? fmt::format("\n{}:\n", title) : "";
      ++number;
      const int first = told.try_emplace({finding.why, finding.cure}, number).first->second;
      add_finding(text, numbered ? fmt::format("{}.", number) : "-", finding,
                  numbered && first != number ? first : 0);
    }
  }
}

// What there is to mend, by kind, in the order of the report.
std::string summary(const Report& report) {
  std::vector<std::pair<std::string_view, int>> kinds;
  for (const Finding& finding : report.findings) {
    const std::string_view word = facts_of(finding.kind).word;
    const auto known = std::ranges::find(kinds, word, &std::pair<std::string_view, int>::first);
    if (finding.counts() && known != kinds.end()) {
      ++known->second;
    } else if (finding.counts()) {
      kinds.emplace_back(word, 1);
    }
  }
  std::string text;
  for (const auto& [word, times] : kinds) {
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", word,
                        times > 1 ? fmt::format(" ({})", times) : "");
  }
  return text;
}

Json json_of(const Finding& finding) {
  const auto or_null = [](const std::string& value) {
    return value.empty() ? Json(nullptr) : Json(value);
  };
  return {{"kind", facts_of(finding.kind).word},
          {"name", finding.name()},
          {"what", finding.what},
          {"evidence", finding.evidence},
          {"maker", or_null(finding.maker)},
          {"why", finding.why},
          {"cure", finding.cure},
          {"harm", finding.harm},
          {"declared", finding.declared ? Json(*finding.declared) : Json(nullptr)}};
}

Json json_of(const Table& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json object = Json::object();
    for (std::size_t i = 0; i < row.size() && i < table.columns.size(); ++i) {
      std::visit([&](const auto& cell) { object[table.columns[i]] = cell; }, row[i]);
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

}  // namespace

int count(const Report& report) {
  return static_cast<int>(std::count_if(report.findings.begin(), report.findings.end(),
                                        [](const Finding& one) { return one.counts(); }));
}

int exit_code(const Report& report) {
  if (!report.failures.empty()) {
    return 2;
  }
  return count(report) == 0 ? 0 : 1;
}

std::string verdict(const Report& report) {
  if (!report.failures.empty()) {
    return "could not examine it";
  }
  const int found = count(report);
  return found == 0 ? "preload is safe" : fmt::format("use lazy, or mend these {}", found);
}

std::string as_text(const Report& report) {
  std::string text = printable(report.subject) + '\n';
  if (const int found = count(report); found > 0) {
    text += fmt::format("{} to mend: {}\n", found, summary(report));
  }
  add_findings(text, report, "to mend", true, [](const Finding& one) { return one.counts(); });
  add_findings(text, report, "shared, and no harm by itself", false,
               [](const Finding& one) { return !one.harm && !one.declared; });
  add_findings(text, report, "declared as meant", false,
               [](const Finding& one) { return one.declared.has_value(); });
  for (const Table& table : report.tables) {
    add_table(text, table);
  }
  if (!report.notes.empty() || !report.failures.empty()) {
    text += '\n';
  }
  for (const std::string& note : report.notes) {
    text += fmt::format("note: {}\n", printable(note));
  }
  for (const std::string& failure : report.failures) {
    text += fmt::format("failed: {}\n", printable(failure));
  }
  return text + '\n' + verdict(report) + '\n';
}

std::string as_json(const Report& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back(json_of(finding));
  }
  Json tables = Json::object();
  for (const Table& table : report.tables) {
    tables[table.name] = json_of(table);
  }
  const Json object{{"subject", report.subject},       {"verdict", verdict(report)},
                    {"exit_code", exit_code(report)},  {"count", count(report)},
                    {"findings", std::move(findings)}, {"tables", std::move(tables)},
                    {"notes", report.notes},           {"failures", report.failures}};
  // Bytes that are no UTF-8 (a file's name may hold them) are replaced, never thrown about.
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace forktail::doctor
