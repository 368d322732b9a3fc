// What a fork drops: threads, POSIX timers and POSIX locks that the process has from which the
// workers were forked, and none of them.
//
// Reads /proc; any process and thread.
#pragma once

#include <vector>

#include "doctor/finding.h"
#include "doctor/open_file.h"
#include "doctor/server_kind.h"

namespace forktail::doctor {

// `own_threads`: how many threads the server itself keeps there.
std::vector<Finding> examine_dropped(const Family& family, const std::vector<OpenFile>& files,
                                     int own_threads);

}  // namespace forktail::doctor
