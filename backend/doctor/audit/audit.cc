#include "doctor/audit/audit.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "doctor/audit/audit_files.h"
#include "doctor/audit/audit_process.h"
#include "doctor/audit/cures.h"
#include "forktail/fork_safe.h"

namespace forktail::doctor {

namespace {

using Json = nlohmann::ordered_json;

Json json_of(const AuditFinding& found) {
  Json stack = Json::array();
  for (const Frame& frame : found.stack) {
    stack.push_back(Json::array({frame.object, frame.offset, frame.symbol}));
  }
  const Finding& one = found.finding;
  return {{"kind", static_cast<int>(one.kind)},
          {"thing", one.thing},
          {"what", one.what},
          {"evidence", one.evidence},
          {"why", one.why},
          {"cure", one.cure},
          {"harm", one.harm},
          {"declared", one.declared ? Json(*one.declared) : Json(nullptr)},
          {"stack", std::move(stack)}};
}

AuditFinding finding_of(const Json& json) {
  AuditFinding found;
  const int kind = json.at("kind").get<int>();
  if (kind < 0 || kind >= static_cast<int>(Kind::count_)) {
    throw std::runtime_error("the audit has a finding of an unknown kind");
  }
  Finding& one = found.finding;
  one.kind = static_cast<Kind>(kind);
  one.thing = json.at("thing").get<std::string>();
  one.what = json.at("what").get<std::string>();
  one.evidence = json.at("evidence").get<std::string>();
  one.why = json.at("why").get<std::string>();
  one.cure = json.at("cure").get<std::string>();
  one.harm = json.at("harm").get<bool>();
  if (const Json& declared = json.at("declared"); !declared.is_null()) {
    one.declared = declared.get<std::string>();
  }
  for (const Json& frame : json.at("stack")) {
    found.stack.push_back({frame.at(0).get<std::string>(), frame.at(1).get<std::uint64_t>(),
                           frame.at(2).get<std::string>()});
  }
  return found;
}

void declare_all(std::vector<AuditFinding>& findings) {
  for (AuditFinding& found : findings) {
    std::vector<Finding> one{std::move(found.finding)};
    for (const ForkSafe& declaration : fork_safe_declarations()) {
      declare(one, declaration.name, declaration.why);
    }
    found.finding = std::move(one.front());
  }
}

}  // namespace

std::vector<AuditFinding> compare(const Snapshot& before, const Snapshot& after) {
  std::vector<AuditFinding> findings;
  compare_threads(before, after, findings);
  compare_files(before, after, findings);
  compare_buffers(before, after, findings);
  compare_timers(before, after, findings);
  compare_signals(before, after, findings);
  compare_mappings(before, after, findings);
  compare_settings(before, after, findings);
  for (AuditFinding& found : findings) {
    if (const KnownCure* known = known_cure(found)) {
      found.finding.cure = cure_in_words(*known);
    }
  }
  return findings;
}

LoadAudit::LoadAudit() : before_(take_snapshot()) {
  if (const RecorderApi* api = recorder()) {
    api->begin();
  }
}

LoadAudit::~LoadAudit() {
  if (const RecorderApi* api = recorder()) {
    api->end();
  }
}

std::vector<AuditFinding> LoadAudit::finish() {
  const RecorderApi* api = recorder();
  if (api != nullptr) {
    api->end();
  }
  std::vector<AuditFinding> findings = compare(before_, take_snapshot());
  declare_all(findings);
  // Where the doctor has no recorder to preload, the variable is still there.
  const char* report =
      api != nullptr ? api->report : getenv(kReportVariable);  // NOLINT(concurrency-mt-unsafe)
  if (report != nullptr && report[0] != '\0') {
    std::ofstream(report) << write_audit(findings);
  }
  return findings;
}

std::string write_audit(const std::vector<AuditFinding>& findings) {
  Json declarations = Json::array();
  for (const ForkSafe& declaration : fork_safe_declarations()) {
    declarations.push_back(Json::array({declaration.name, declaration.why}));
  }
  Json all = Json::array();
  for (const AuditFinding& found : findings) {
    all.push_back(json_of(found));
  }
  const Json audit{{"findings", std::move(all)}, {"declarations", std::move(declarations)}};
  return audit.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Audit read_audit(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    Audit audit;
    for (const Json& one : json.at("findings")) {
      audit.findings.push_back(finding_of(one));
    }
    for (const Json& one : json.at("declarations")) {
      audit.declarations.push_back({one.at(0).get<std::string>(), one.at(1).get<std::string>()});
    }
    return audit;
  } catch (const Json::exception& error) {
    throw std::runtime_error(std::string("the audit can not be read: ") + error.what());
  }
}

}  // namespace forktail::doctor
