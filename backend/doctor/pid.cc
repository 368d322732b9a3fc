#include "doctor/pid.h"

#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <system_error>

namespace forktail::doctor {

Report examine_pid(const PidOptions& options) {
  Report report;
  report.subject = fmt::format("master {}", options.master);
  if (kill(options.master, 0) != 0) {
    report.failures.push_back(fmt::format("--pid {}: {}: name the pid of a running master",
                                          options.master, std::generic_category().message(errno)));
  }
  return report;
}

}  // namespace forktail::doctor
