// What a process takes, as the kernel counts it (proc(5)). All sizes in bytes; 0 when it is gone.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace forktail::server {

struct ProcessMemory {
  std::uint64_t virtual_size = 0;
  std::uint64_t resident = 0;      // RSS
  std::uint64_t proportional = 0;  // PSS: pages shared by N processes count one Nth
  std::uint64_t unique = 0;        // USS: pages of this process alone
};

// Cheap: statm.
std::uint64_t resident_bytes(pid_t pid);

// Dear: smaps_rollup makes the kernel walk all pages. For those who ask, never on a timer.
ProcessMemory process_memory(pid_t pid);

}  // namespace forktail::server
