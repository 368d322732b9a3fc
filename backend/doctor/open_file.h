// Open files, and which processes have one and the same (kcmp(2)): not equal paths, but one open
// file description with one position, which a fork or a passed descriptor has made.
//
// Reads only; any process and thread. Wants to be the processes' user, or root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace forktail::doctor {

struct OpenFile {
  std::string link;  // as /proc/PID/fd shows it: "/a/path", "socket:[12]", "pipe:[3]"
  mode_t mode = 0;   // its type, as of stat(2)
  std::uint64_t inode = 0;
  unsigned flags = 0;  // as of open(2)
  std::int64_t position = 0;
  std::vector<std::string> locks;             // flock and OFD locks, as fdinfo shows them
  std::map<pid_t, std::vector<int>> holders;  // their descriptors

  [[nodiscard]] bool held_by(pid_t pid) const { return holders.contains(pid); }
  [[nodiscard]] bool writable() const;
  // The path without what the kernel adds to a deleted one's.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] bool deleted() const;
};

struct OpenFiles {
  std::vector<OpenFile> files;           // each once, whoever holds it
  std::map<pid_t, std::string> refused;  // the processes that may not be looked at, and why
};

// All that these processes have open.
OpenFiles open_files_of(const std::vector<pid_t>& pids);

// What processes outside of a server have open: what was given to it from outside was not made by
// its application. Looks at all processes that it may, at the first question.
class OutsideFiles {
 public:
  // `family`: the master first.
  explicit OutsideFiles(std::vector<pid_t> family) : family_(std::move(family)) {}

  // Whether one of them holds the same open file.
  bool hold(const OpenFile& file);

 private:
  void look();

  std::vector<pid_t> family_;
  bool looked_ = false;
  std::multimap<std::string, std::pair<pid_t, int>> by_link_;
};

}  // namespace forktail::doctor
