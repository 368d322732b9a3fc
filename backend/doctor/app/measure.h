// What each fork mode costs an application: time and memory, measured on servers of the doctor's
// own, one after the other.
#pragma once

#include "doctor/app/app.h"
#include "doctor/app/patience.h"
#include "doctor/report.h"

namespace forktail::doctor {

// Adds a table with a row for each mode, and one for preload after a refork. What could not be
// measured is noted. Throws OutOfPatience.
void measure(Report& report, const AppOptions& options, Patience& patience);

}  // namespace forktail::doctor
