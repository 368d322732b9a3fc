// The static audit: what a process has after it loaded an application that it had not before, and
// that a fork would not copy, or would copy once too often.
//
// For the thread that loads, in a process that is about to fork: LoadAudit audit; load;
// audit.finish(). It takes a few milliseconds and changes nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "doctor/audit/makers.h"
#include "doctor/audit/snapshot.h"
#include "doctor/finding.h"
#include "forktail/fork_safe.h"

namespace forktail::doctor {

struct AuditFinding {
  Finding finding;
  std::vector<Frame> stack;  // in which it was made, the latest call first; empty: not known
};

// What `after` has that `before` has not, by kind. Knows the makers when they were recorded.
std::vector<AuditFinding> compare(const Snapshot& before, const Snapshot& after);

class LoadAudit {
 public:
  LoadAudit();
  ~LoadAudit();
  LoadAudit(const LoadAudit&) = delete;
  LoadAudit& operator=(const LoadAudit&) = delete;

  // The findings since the audit began; those that the application has declared by fork_safe() are
  // marked so. When the doctor has started this process they are written to its file, too.
  std::vector<AuditFinding> finish();

 private:
  Snapshot before_;
};

// An audit on its way from the process that loaded to the doctor.
struct Audit {
  std::vector<AuditFinding> findings;
  std::vector<ForkSafe> declarations;  // the application's
};

// The findings and this process's declarations as one JSON text, and back. read_audit() throws
// std::runtime_error when it is none.
std::string write_audit(const std::vector<AuditFinding>& findings);
Audit read_audit(std::string_view text);

}  // namespace forktail::doctor
