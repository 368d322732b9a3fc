// The part of the audit that looks at threads, timers, signals, memory, buffers and settings.
#pragma once

#include <vector>

#include "doctor/audit/audit.h"

namespace forktail::doctor {

void compare_threads(const Snapshot& before, const Snapshot& after,
                     std::vector<AuditFinding>& findings);
void compare_buffers(const Snapshot& before, const Snapshot& after,
                     std::vector<AuditFinding>& findings);
void compare_timers(const Snapshot& before, const Snapshot& after,
                    std::vector<AuditFinding>& findings);
void compare_signals(const Snapshot& before, const Snapshot& after,
                     std::vector<AuditFinding>& findings);
void compare_mappings(const Snapshot& before, const Snapshot& after,
                      std::vector<AuditFinding>& findings);
void compare_settings(const Snapshot& before, const Snapshot& after,
                      std::vector<AuditFinding>& findings);

}  // namespace forktail::doctor
