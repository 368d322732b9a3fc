// The part of the audit that looks at descriptors and locks.
#pragma once

#include <vector>

#include "doctor/audit/audit.h"

namespace forktail::doctor {

void compare_files(const Snapshot& before, const Snapshot& after,
                   std::vector<AuditFinding>& findings);

// A file's name as findings have it: its path, or "descriptor 7".
std::string name_of(const Snapshot& snapshot, int descriptor);

}  // namespace forktail::doctor
