// Which file it is that a path names: by device and inode, since anybody may have put another one
// in its place.
//
// A file that is open, or a socket that is bound, keeps its inode, so that no other file has it
// meanwhile. A value.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <string>

namespace forktail::server {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;  // 0: there is no such file

  FileId() = default;
  FileId(dev_t on, ino_t number) : device(on), inode(number) {}
  explicit FileId(const struct stat& info) : device(info.st_dev), inode(info.st_ino) {}
  // Of the path itself, if it is a link.
  static FileId of(const std::string& path) {
    struct stat info {};
    return lstat(path.c_str(), &info) == 0 ? FileId(info) : FileId();
  }
  bool operator==(const FileId&) const = default;
};

// How long a server that starts waits for the files and addresses of one that is ending, as after a
// SIGKILL: its workers need a moment.
constexpr std::chrono::milliseconds kWaitForPredecessor{2000};

}  // namespace forktail::server
