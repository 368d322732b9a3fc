#include "doctor/app/app.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "doctor/app/answers.h"
#include "doctor/app/measure.h"
#include "doctor/app/patience.h"
#include "doctor/app/server.h"
#include "doctor/app/symbols.h"
#include "doctor/audit/audit.h"

namespace forktail::doctor {

namespace {

// What the audit of the template has written: nothing when it did not come so far.
std::optional<Audit> audit_of(const AppServer& server) {
  std::ifstream file(server.audit());
  if (!file.is_open()) {
    return std::nullopt;
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return read_audit(text);
}

void add_audit(Report& report, Audit& audit, const std::string& app) {
  Symbols symbols;
  for (AuditFinding& found : audit.findings) {
    found.finding.maker = maker_in_words(found.stack, app, symbols);
    report.findings.push_back(std::move(found.finding));
  }
}

void compare_answers(Report& report, AppServer& server, const AppOptions& options,
                     const Audit& audit, const std::vector<std::string>& requests,
                     Patience& patience) {
  std::vector<Finding> findings;
  try {
    findings = compare_workers(server, requests, options.processes, patience);
  } catch (const std::exception& error) {
    const std::string why = fmt::format("the workers could not be compared: {}", error.what());
    // What nobody has asked for fails nobody.
    (options.requests.empty() ? report.notes : report.failures).push_back(why);
    return;
  }
  for (const ForkSafe& declaration : audit.declarations) {
    declare(findings, declaration.name, declaration.why);
  }
  for (Finding& finding : findings) {
    report.findings.push_back(std::move(finding));
  }
}

void examine(Report& report, const AppOptions& options, const std::string& app,
             Patience& patience) {
  const std::vector<std::string> requests =
      options.requests.empty() ? std::vector<std::string>{"GET /"} : options.requests;
  if (options.requests.empty()) {
    report.notes.push_back("no --request was given: the workers were asked for GET / alone");
  }
  if (AppServer::recorder_file().empty()) {
    report.notes.push_back(
        "libforktail_doctor_recorder.so is missing beside this program (lib/forktail): who made "
        "what is not known");
  }
  AppServer server({app, "preload", 1, requests_a_worker(requests)}, patience);
  std::string failure;
  try {
    server.wait_ready();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  std::optional<Audit> audit = audit_of(server);
  if (audit) {
    add_audit(report, *audit, app);
  }
  if (!failure.empty() || !audit) {
    report.failures.push_back(failure.empty() ? "the audit has left no result" : failure);
    return;
  }
  compare_answers(report, server, options, *audit, requests, patience);
  server.stop();
}

}  // namespace

Report examine_app(const AppOptions& options) {
  Report report;
  std::error_code error;
  const std::filesystem::path app = std::filesystem::absolute(options.app, error);
  report.subject = fmt::format("{}: what a fork after its load duplicates", options.app);
  Patience patience(options.limit);
  try {
    examine(report, options, app.string(), patience);
    if (options.measure && report.failures.empty()) {
      measure(report, options, patience);
    }
  } catch (const std::exception& failure) {
    report.failures.emplace_back(failure.what());
  }
  return report;
}

}  // namespace forktail::doctor
