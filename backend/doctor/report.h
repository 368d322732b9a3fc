// What the doctor hands over: for people, for programs, and as an exit code.
//
// Values, and pure functions over them, for any process and thread.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "doctor/finding.h"

namespace forktail::doctor {

// Measurements: a row is as long as `columns`. A column of sizes is named "..._kib" (KiB), one of
// times "..._ms".
struct Table {
  using Cell = std::variant<std::string, std::int64_t, double>;
  std::string name;
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
};

struct Report {
  std::string subject;                // what was examined, in one line
  std::vector<Finding> findings;      // in the order of their importance
  std::vector<Table> tables;          // measurements
  std::vector<std::string> notes;     // what could not be looked at, and what was not asked for
  std::vector<std::string> failures;  // why the examination is not a whole one
};

// How many findings stand against a preload.
int count(const Report& report);

// 0 nothing found that counts, 1 something found, 2 it could not be examined.
int exit_code(const Report& report);

// The last line: "preload is safe", "use lazy, or mend these N", or "could not examine it".
std::string verdict(const Report& report);

// For people, the verdict as its last line. Control characters of what was examined are escaped.
std::string as_text(const Report& report);

// One JSON object on one line:
//   {"subject":..., "verdict":..., "exit_code":N, "count":N, "findings":[{"kind","name","what",
//   "evidence","maker","why","cure","harm","declared"}], "tables":{NAME:[{COLUMN:CELL}]},
//   "notes":[...], "failures":[...]}
// `maker` and `declared` are null where there is none.
std::string as_json(const Report& report);

}  // namespace forktail::doctor
