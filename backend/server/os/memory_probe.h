// Measures the memory of processes in a process of its own. The kernel walks all pages of a process
// for that, 20 ms and more for each that has a few GiB, in which whoever asks can do nothing else.
//
// For the one thread of the master. Nothing waits: read() when descriptor() is readable.
#pragma once

#include <sys/types.h>

#include <map>
#include <vector>

#include "forktail/api.h"
#include "server/os/descriptor.h"
#include "server/os/process_memory.h"

namespace forktail::server {

class MemoryProbe {
 public:
  // Starts it. Throws std::system_error.
  explicit MemoryProbe(const std::vector<pid_t>& pids);
  ~MemoryProbe();  // ends it, if it has not ended
  MemoryProbe(const MemoryProbe&) = delete;
  MemoryProbe& operator=(const MemoryProbe&) = delete;

  [[nodiscard]] int descriptor() const { return results_.get(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Somebody else has waited for it.
  void reaped() { pid_ = 0; }

  // Takes in what is there. True when there is no more to come.
  bool read();
  // By pid; processes that had ended are missing, or have zeros.
  [[nodiscard]] const std::map<pid_t, ProcessMemory>& found() const FORKTAIL_LIFETIMEBOUND {
    return found_;
  }

 private:
  Descriptor results_;
  pid_t pid_ = 0;
  std::map<pid_t, ProcessMemory> found_;
};

}  // namespace forktail::server
