#include "doctor/finding.h"

#include <fnmatch.h>

#include <utility>

namespace forktail::doctor {

std::string Finding::name() const {
  std::string name(facts_of(kind).word);
  if (!thing.empty()) {
    name += ' ';
    name += thing;
  }
  return name;
}

Finding make_finding(Kind kind, std::string thing, std::string what, std::string evidence) {
  const KindFacts& facts = facts_of(kind);
  Finding finding;
  finding.kind = kind;
  finding.thing = std::move(thing);
  finding.what = std::move(what);
  finding.evidence = std::move(evidence);
  finding.why = facts.why;
  finding.cure = facts.cure;
  finding.harm = facts.harm;
  return finding;
}

int declare(std::vector<Finding>& findings, const std::string& name, const std::string& why) {
  int declared = 0;
  for (Finding& finding : findings) {
    const std::string own = finding.name();
    // The name itself may hold what a pattern reads otherwise: "mapping /dev/shm/x[1]".
    if (own == name || fnmatch(name.c_str(), own.c_str(), 0) == 0) {
      finding.declared = why;
      ++declared;
    }
  }
  return declared;
}

std::vector<std::string> expected_names(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos || line[begin] == '#') {
      continue;
    }
    line = line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
    names.emplace_back(line);
  }
  return names;
}

}  // namespace forktail::doctor
