// What the calling process has that a fork would not copy, or would copy once too often.
//
// A snapshot is a value. take_snapshot() is for the thread that loads the application, right before
// and right after it does; it reads /proc, opens nothing that stays open, and changes nothing.
#pragma once

#include <signal.h>
#include <sys/time.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace forktail::doctor {

struct OwnFile {
  int descriptor = -1;
  std::string
      target;       // as the link in /proc has it: a path, "socket:[123]", "anon_inode:[eventpoll]"
  mode_t mode = 0;  // st_mode
  dev_t device = 0;
  ino_t inode = 0;
  int flags = 0;  // of open(2)
  std::int64_t position = 0;
  bool deleted = false;
  bool listening = false;          // a socket
  int family = 0;                  // of a socket; 0: it is none
  std::string peer;                // of a connected socket
  std::string local;               // of a socket, if it is bound
  std::vector<std::string> locks;  // "FLOCK ADVISORY WRITE", as in /proc/locks
};

struct PendingStream {
  int descriptor = -1;
  std::size_t bytes = 0;
};

struct SharedMapping {
  std::uintptr_t begin = 0;
  std::size_t size = 0;
  std::string path;  // empty: anonymous
};

struct HandlerOf {
  void* function = nullptr;  // SIG_DFL, SIG_IGN or the handler
  bool operator==(const HandlerOf&) const = default;
};

struct Snapshot {
  std::map<pid_t, std::string> threads;  // but the calling one; names by id
  std::map<int, OwnFile> files;
  std::map<const void*, PendingStream> streams;      // of stdio, with unwritten bytes
  std::map<std::uintptr_t, SharedMapping> mappings;  // that can be written to
  std::array<HandlerOf, NSIG> handlers{};
  std::uint64_t blocked = 0;      // signals, bit N-1 for signal N
  std::array<bool, 3> itimers{};  // by ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF: runs
  std::vector<int> posix_timers;  // the kernel's ids
  std::map<std::string, std::string> environment;
  unsigned umask = 0;
  std::string libc_random;     // the generators' states
  bool async_logging = false;  // spdlog has a pool of threads
};

Snapshot take_snapshot();

// Of the files alone; `files` of a whole one.
std::map<int, OwnFile> own_files();

}  // namespace forktail::doctor
