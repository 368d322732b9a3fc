#include "server/os/process_memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace forktail::server {

namespace {

std::uint64_t page_size() {
  static const auto size = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return size;
}

struct Statm {
  std::uint64_t virtual_pages = 0;
  std::uint64_t resident_pages = 0;
};

Statm read_statm(pid_t pid) {
  Statm statm;
  std::ifstream(fmt::format("/proc/{}/statm", pid)) >> statm.virtual_pages >> statm.resident_pages;
  return statm;
}

}  // namespace

std::uint64_t resident_bytes(pid_t pid) { return read_statm(pid).resident_pages * page_size(); }

ProcessMemory process_memory(pid_t pid) {
  const Statm statm = read_statm(pid);
  ProcessMemory memory;
  memory.virtual_size = statm.virtual_pages * page_size();
  memory.resident = statm.resident_pages * page_size();
  std::ifstream rollup(fmt::format("/proc/{}/smaps_rollup", pid));
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kib = 0;
    words >> name >> kib;
    if (name == "Pss:") {
      memory.proportional = kib << 10;
    } else if (name == "Private_Clean:" || name == "Private_Dirty:") {
      memory.unique += kib << 10;
    }
  }
  return memory;
}

}  // namespace forktail::server
