// What std::ofstreams hold unwritten. Known only where the doctor's preloaded object has seen them
// opened: the C++ library keeps no list.
#pragma once

#include <cstddef>
#include <vector>

#include "doctor/audit/makers.h"

namespace forktail::doctor {

struct PendingFilebuf {
  int descriptor = -1;
  std::size_t bytes = 0;
  std::vector<Frame> stack;  // in which it was opened
};

std::vector<PendingFilebuf> pending_filebufs();

}  // namespace forktail::doctor
