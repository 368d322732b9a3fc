#include "doctor/audit/audit_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

namespace forktail::doctor {

namespace {

bool same_file(const OwnFile& one, const OwnFile& other) {
  return one.device == other.device && one.inode == other.inode && one.target == other.target;
}

bool is_new(const Snapshot& before, const OwnFile& file) {
  const auto known = before.files.find(file.descriptor);
  return known == before.files.end() || !same_file(known->second, file);
}

bool writable(const OwnFile& file) { return (file.flags & O_ACCMODE) != O_RDONLY; }

std::string numbers(const OwnFile& file) {
  return fmt::format("descriptor {}, {}", file.descriptor, file.target);
}

std::optional<Finding> find_socket(const OwnFile& file) {
  const std::string evidence = fmt::format("descriptor {}, {}{}", file.descriptor, file.target,
                                           file.local.empty() ? "" : ", at this end " + file.local);
  if (file.listening) {
    return make_finding(Kind::listener, file.local,
                        fmt::format("a listening socket was opened while loading: {}", file.local),
                        evidence);
  }
  if (!file.peer.empty()) {
    return make_finding(
        Kind::connection, file.peer,
        fmt::format("a connection was opened while loading, and all workers share it: {}",
                    file.peer),
        evidence);
  }
  const std::string thing = file.local.empty() ? "unbound" : file.local;
  return make_finding(
      Kind::socket, thing,
      fmt::format("a socket was made while loading, and all workers share it ({})", thing),
      evidence);
}

struct AnonymousKind {
  std::string_view target;
  Kind kind;
  std::string_view what;
};

constexpr std::array<AnonymousKind, 5> kAnonymous{{
    {"anon_inode:[eventpoll]", Kind::epoll, "an epoll instance (an event loop)"},
    {"anon_inode:[eventfd]", Kind::eventfd, "an eventfd"},
    {"anon_inode:[timerfd]", Kind::timerfd, "a timerfd"},
    {"anon_inode:[signalfd]", Kind::signalfd, "a signalfd"},
    {"anon_inode:inotify", Kind::inotify, "an inotify instance"},
}};

Finding find_anonymous(const OwnFile& file) {
  for (const AnonymousKind& one : kAnonymous) {
    if (file.target == one.target) {
      return make_finding(
          one.kind, "",
          fmt::format("{} was made while loading, and all workers share it", one.what),
          numbers(file));
    }
  }
  return make_finding(
      Kind::descriptor, file.target,
      fmt::format("a descriptor was made while loading, and all workers share it: {}", file.target),
      numbers(file));
}

std::optional<Finding> find_regular(const OwnFile& file) {
  const std::string evidence =
      fmt::format("descriptor {}, {}, at offset {}, {}", file.descriptor, file.target,
                  file.position, (file.flags & O_APPEND) != 0 ? "O_APPEND" : "no O_APPEND");
  if (!writable(file)) {
    return std::nullopt;  // who reads at a position of its own may share it
  }
  if (file.target.starts_with("/memfd:")) {
    Finding finding = make_finding(
        Kind::descriptor, file.target.substr(1),
        fmt::format("memory was made while loading that all workers share: {}", file.target),
        evidence);
    finding.harm = false;  // somebody who makes a memfd wants to share it
    return finding;
  }
  if (file.deleted) {
    return make_finding(
        Kind::deleted_file, file.target,
        fmt::format("a temporary file was made while loading, and all workers share it: {}",
                    file.target),
        evidence + ", deleted");
  }
  if ((file.flags & O_APPEND) == 0) {
    return make_finding(
        Kind::file, file.target,
        fmt::format("a file was opened for writing while loading, without O_APPEND: {}",
                    file.target),
        evidence);
  }
  return std::nullopt;
}

std::optional<Finding> find_device(const OwnFile& file) {
  constexpr std::array<std::string_view, 6> kWithoutState{
      "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
  if (std::find(kWithoutState.begin(), kWithoutState.end(), file.target) != kWithoutState.end() ||
      file.target.starts_with("/dev/pts/")) {
    return std::nullopt;
  }
  return make_finding(
      Kind::descriptor, file.target,
      fmt::format("a device was opened while loading, and all workers share it: {}", file.target),
      numbers(file));
}

std::optional<Finding> find_in(const OwnFile& file) {
  if (S_ISSOCK(file.mode)) {
    return find_socket(file);
  }
  if (S_ISFIFO(file.mode)) {
    const std::string thing = file.target.starts_with('/') ? file.target : "";
    return make_finding(Kind::pipe, thing,
                        "a pipe was made while loading, and all workers share it", numbers(file));
  }
  if (S_ISREG(file.mode)) {
    return find_regular(file);
  }
  if (S_ISCHR(file.mode) || S_ISBLK(file.mode)) {
    return find_device(file);
  }
  if (file.target.starts_with("anon_inode:")) {
    return find_anonymous(file);
  }
  return std::nullopt;  // a directory
}

Finding find_lock(const OwnFile& file, const std::string& lock) {
  return make_finding(Kind::file_lock, file.target,
                      fmt::format("a file was locked while loading: {}", file.target),
                      fmt::format("descriptor {}, {}", file.descriptor, lock));
}

}  // namespace

std::string name_of(const Snapshot& snapshot, int descriptor) {
  constexpr std::array<std::string_view, 3> kStandard{"stdin", "stdout", "stderr"};
  if (descriptor >= 0 && descriptor < 3) {
    return std::string(kStandard[static_cast<std::size_t>(descriptor)]);
  }
  const auto file = snapshot.files.find(descriptor);
  return file == snapshot.files.end() ? fmt::format("descriptor {}", descriptor)
                                      : file->second.target;
}

void compare_files(const Snapshot& before, const Snapshot& after,
                   std::vector<AuditFinding>& findings) {
  std::set<std::string> pipes;  // each has two ends
  for (const auto& [descriptor, file] : after.files) {
    if (!is_new(before, file) || (S_ISFIFO(file.mode) && !pipes.insert(file.target).second)) {
      continue;
    }
    if (auto finding = find_in(file)) {
      findings.push_back({std::move(*finding), stack_of(Made::descriptor, descriptor)});
    }
  }
  for (const auto& [descriptor, file] : after.files) {
    const auto known = before.files.find(descriptor);
    for (const std::string& lock : file.locks) {
      if (known == before.files.end() ||
          std::find(known->second.locks.begin(), known->second.locks.end(), lock) ==
              known->second.locks.end()) {
        findings.push_back({find_lock(file, lock), stack_of(Made::lock, descriptor)});
      }
    }
  }
}

}  // namespace forktail::doctor
