#include "doctor/app/app.h"

#include <fmt/format.h>

#include <algorithm>
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

std::vector<std::string> requests_of(const AppOptions& options) {
  return options.requests.empty() ? std::vector<std::string>{"GET /"} : options.requests;
}

// What the workers have answered; none, and the reason in the report, when they have not.
std::optional<TwinAnswers> answers_of(Report& report, AppServer& server, const AppOptions& options,
                                      Patience& patience) {
  try {
    return ask_twins(server, requests_of(options), options.processes, patience);
  } catch (const std::exception& error) {
    const std::string why = fmt::format("the workers could not be compared: {}", error.what());
    // What nobody has asked for fails nobody.
    (options.requests.empty() ? report.notes : report.failures).push_back(why);
    return std::nullopt;
  }
}

// Loads it once more: what was the same in all workers, and is another now, was made at the load.
std::vector<Finding> compare_with_another_load(Report& report, const TwinAnswers& twins,
                                               const AppOptions& options, const std::string& app,
                                               std::chrono::milliseconds limit) {
  const std::vector<std::string> requests = requests_of(options);
  std::vector<Finding> findings;
  Patience patience(limit);
  try {
    AppServer server({app, "preload", 1, 0, false}, patience);
    server.wait_ready();
    const std::vector<Answer> others = ask_once(server, requests, patience);
    server.stop();
    findings = compare_with_other_load(twins, requests, others);
  } catch (const std::exception& error) {
    if (patience.left().count() > 0 && dynamic_cast<const OutOfPatience*>(&error) != nullptr) {
      throw;  // a signal asks for the end
    }
    report.notes.push_back(fmt::format(
        "what was made at the load is not known: loaded again it failed: {}", error.what()));
  }
  return findings;
}

void add_compared(Report& report, std::vector<Finding> findings, const Audit& audit) {
  for (const ForkSafe& declaration : audit.declarations) {
    declare(findings, declaration.name, declaration.why);
  }
  std::move(findings.begin(), findings.end(), std::back_inserter(report.findings));
}

struct Examined {
  std::optional<Audit> audit;
  std::optional<TwinAnswers> twins;
  std::chrono::milliseconds load{0};  // how long it took to become ready
};

Examined examine_a_load(Report& report, const AppOptions& options, const std::string& app,
                        Patience& patience) {
  Examined examined;
  const std::chrono::milliseconds left = patience.left();
  AppServer server({app, "preload", 1, requests_a_worker(requests_of(options))}, patience);
  std::string failure;
  try {
    server.wait_ready();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  examined.load = left - patience.left();
  examined.audit = audit_of(server);
  if (examined.audit) {
    add_audit(report, *examined.audit, app);
  }
  if (!failure.empty() || !examined.audit) {
    report.failures.push_back(failure.empty() ? "the audit has left no result" : failure);
    return examined;
  }
  examined.twins = answers_of(report, server, options, patience);
  server.stop();
  return examined;
}

void examine(Report& report, const AppOptions& options, const std::string& app,
             Patience& patience) {
  if (options.requests.empty()) {
    report.notes.push_back("no --request was given: the workers were asked for GET / alone");
  }
  if (AppServer::recorder_file().empty()) {
    report.notes.push_back(
        "libforktail_doctor_recorder.so is missing beside this program (lib/forktail): who made "
        "what is not known");
  }
  const Examined examined = examine_a_load(report, options, app, patience);
  if (!examined.twins) {
    return;
  }
  const TwinAnswers& twins = *examined.twins;
  add_compared(report, compare_workers(twins, requests_of(options)), *examined.audit);
  const bool wanted = std::any_of(twins.answers.begin(), twins.answers.end(), [&](const auto& one) {
    return may_hold_load_values(one, twins.facts);
  });
  const std::chrono::milliseconds limit = 3 * examined.load + std::chrono::seconds(3);
  if (wanted && limit < patience.left()) {
    add_compared(report, compare_with_another_load(report, twins, options, app, limit),
                 *examined.audit);
  } else if (wanted) {
    report.notes.push_back("what was made at the load is not known: a second load takes too long");
  }
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
