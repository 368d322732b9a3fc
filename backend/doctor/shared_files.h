// The open files that workers share, as findings.
//
// Pure but for what names processes in /proc; any process and thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "doctor/finding.h"
#include "doctor/open_file.h"
#include "doctor/server_kind.h"
#include "doctor/socket_table.h"

namespace forktail::doctor {

struct SharedFiles {
  std::vector<Finding> findings;
  std::map<std::string, int> on_purpose;  // what for, and how many
};

// Regular files with an inode of `mapped` are left to what tells of mappings.
SharedFiles examine_files(const Family& family, const std::vector<OpenFile>& files,
                          const SocketTable& sockets, const std::set<std::uint64_t>& mapped);

// Whether `file` is one and the same in several workers; of a single worker, in it and in what it
// was forked from.
bool is_shared(const OpenFile& file, const Family& family);

// The cure of `kind` in the words of the server.
std::string cure_for(Kind kind, Server server);

}  // namespace forktail::doctor
