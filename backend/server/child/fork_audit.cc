#include "server/child/fork_audit.h"

#include <fmt/format.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/audit/audit.h"
#include "server/child/app_library.h"

namespace forktail::server {

namespace {

// Returns why the load is to be refused: empty unless it is to be, and something was found.
std::string report(log::Sink& sink, const Options& options,
                   const std::vector<doctor::AuditFinding>& findings) {
  std::string names;
  int count = 0;
  for (const doctor::AuditFinding& found : findings) {
    const doctor::Finding& finding = found.finding;
    if (!finding.counts()) {
      continue;
    }
    ++count;
    const std::string name = finding.name();
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
    sink.write(log::EventKind::fork_audit, {}, "fork-audit: " + finding.what,
               {{"finding", std::string_view(name)},
                {"evidence", std::string_view(finding.evidence)},
                {"why", std::string_view(finding.why)},
                {"cure", std::string_view(finding.cure)}});
  }
  if (count == 0) {
    return {};
  }
  if (options.fork_audit == ForkAudit::fail) {
    return fmt::format(
        "fork-audit found what a fork would duplicate: {}; mend it, declare it by "
        "forktail::fork_safe(\"NAME\", \"why\"), use fork-mode = lazy, or set fork-audit = warn",
        names);
  }
  sink.write(log::EventKind::fork_audit_found, {},
             fmt::format("fork-audit: {} found; forktail doctor --app {} tells who made it. "
                         "forktail::fork_safe(\"NAME\", \"why\") declares one as meant, "
                         "fork-audit = off silences all",
                         count, options.app),
             {{"found", std::int64_t{count}}});
  return {};
}

}  // namespace

App& load_and_audit(const Options& options, int copy, log::Sink& sink) {
  if (options.fork_audit == ForkAudit::off) {
    return load_app(options.app, copy, sink);
  }
  doctor::LoadAudit audit;
  App& app = load_app(options.app, copy, sink);
  if (const std::string refusal = report(sink, options, audit.finish()); !refusal.empty()) {
    throw std::runtime_error(refusal);
  }
  return app;
}

}  // namespace forktail::server
