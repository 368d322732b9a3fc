#include "cli/doctor.h"

namespace forktail::cli {

doctor::Report examine_app(const DoctorAppOptions& options) {
  doctor::Report report;
  report.subject = options.app;
  report.failures.emplace_back("--app: this build examines running servers alone: use --pid");
  return report;
}

}  // namespace forktail::cli
