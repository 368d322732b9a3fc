// What workers share of their memory: writable mappings, and pages that a fork left common.
//
// Reads /proc; any process and thread. The sizes are dear: the kernel walks all pages for them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "doctor/finding.h"
#include "doctor/report.h"
#include "doctor/server_kind.h"
#include "doctor/twin.h"

namespace forktail::doctor {

struct SharedMappings {
  std::vector<Finding> findings;
  std::string note;  // of those that only the server can tell from its own; empty without such
};

// Writable mappings that several workers share.
SharedMappings examine_mappings(const Family& family);

// The inodes of files that a worker has mapped so: who maps a file may keep it open.
std::set<std::uint64_t> mapped_inodes(const Family& family);

// A row for each process: RSS, PSS, and how much of it is private and still shared.
Table memory_table(const Family& family);

// The addresses that are mapped in every worker.
std::vector<AddressRange> common_addresses(const Family& family);

}  // namespace forktail::doctor
