#include "doctor/shared_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "doctor/purpose.h"

namespace forktail::doctor {

namespace {

// What a file is, before it is put into a finding.
struct Named {
  Kind kind;
  std::string thing;  // as of Finding
  std::string noun;   // "a connection to 127.0.0.1:5432"
  bool harm;
};

std::set<pid_t> worker_holders(const OpenFile& file, const Family& family) {
  std::set<pid_t> holders;
  for (const auto& [pid, numbers] : file.holders) {
    if (family.is_worker(pid)) {
      holders.insert(pid);
    }
  }
  return holders;
}

// "fd 7 of pids 12, 13 and 14", with fewer pids where there are many.
std::string who(const OpenFile& file, const Family& family) {
  std::map<int, std::vector<pid_t>> by_number;
  for (const pid_t pid : worker_holders(file, family)) {
    by_number[file.holders.at(pid).front()].push_back(pid);
  }
  std::string text;
  for (const auto& [number, pids] : by_number) {
    text += fmt::format("{}fd {} of pid", text.empty() ? "" : ", ", number);
    constexpr std::size_t kMost = 8;
    for (std::size_t i = 0; i < pids.size() && i < kMost; ++i) {
      text += fmt::format(" {}", pids[i]);
    }
    text += pids.size() > kMost ? fmt::format(" and {} more", pids.size() - kMost) : "";
  }
  return text;
}

// The process at the other end of a unix socket, when it may be seen: "postgres".
std::string peer_process(const SocketFacts& facts, const std::vector<OpenFile>& files,
                         const Family& family) {
  for (const OpenFile& file : files) {
    if (S_ISSOCK(file.mode) && file.inode == facts.peer_inode) {
      for (const auto& [pid, numbers] : file.holders) {
        if (!family.is_worker(pid) && pid != family.master.pid) {
          return name_of(pid);
        }
      }
    }
  }
  return {};
}

Named name_unix_socket(const SocketFacts& facts, const std::vector<OpenFile>& files,
                       const Family& family) {
  if (!facts.peer.empty() || facts.connected) {
    const std::string process = peer_process(facts, files, family);
    const std::string peer = !facts.peer.empty() ? facts.peer : process;
    if (peer.empty()) {
      return {Kind::socket, "pair", "a pair of sockets", true};
    }
    return facts.datagrams ? Named{Kind::socket, peer, "a datagram socket to " + peer, false}
                           : Named{Kind::connection, peer, "a connection to " + peer, true};
  }
  return {Kind::socket, facts.local.empty() ? "unix" : facts.local, "a unix socket", false};
}

Named name_socket(const OpenFile& file, const std::vector<OpenFile>& files,
                  const SocketTable& sockets, const Family& family) {
  const SocketFacts* facts = sockets.find(file.inode);
  if (facts == nullptr) {
    return {Kind::socket, "", "a socket that is neither bound nor connected", false};
  }
  if (facts->is_unix) {
    return name_unix_socket(*facts, files, family);
  }
  // Each datagram is whole, and most who make such a socket at load only send (statsd, syslog).
  if (facts->datagrams) {
    const std::string thing = facts->peer.empty() ? facts->local : facts->peer;
    return {Kind::socket, thing, "a UDP socket " + thing, false};
  }
  return facts->connected
             ? Named{Kind::connection, facts->peer, "a connection to " + facts->peer, true}
             : Named{Kind::socket, facts->local, "a TCP socket that is not connected", false};
}

Named name_anonymous(const OpenFile& file) {
  constexpr std::array<std::pair<std::string_view, Kind>, 5> kAnonymousFiles{
      {{"eventpoll", Kind::epoll},
       {"eventfd", Kind::eventfd},
       {"timerfd", Kind::timerfd},
       {"signalfd", Kind::signalfd},
       {"inotify", Kind::inotify}}};
  for (const auto& [word, kind] : kAnonymousFiles) {
    if (file.link.find(word) != std::string::npos) {
      const std::string_view name = facts_of(kind).word;
      return {kind, "",
              fmt::format("{} {}", kind == Kind::timerfd ? "a" : "an", name) +
                  (kind == Kind::epoll ? " instance" : ""),
              true};
    }
  }
  const std::string name = file.link.substr(file.link.find(':') + 1);
  return {Kind::descriptor, name, "a descriptor of the kind " + name, name != "[pidfd]"};
}

Named name_file(const OpenFile& file) {
  const std::string path = file.path();
  if (file.deleted()) {
    // Its own name is another each time.
    return {Kind::deleted_file, path.substr(0, path.rfind('/') + 1),
            "a deleted file, " + path + ",", true};
  }
  if (!file.writable()) {
    return {Kind::reading_position, path, path + ", open for reading,", false};
  }
  return {Kind::file, path, path + ", open for writing without O_APPEND,", true};
}

Named name_of_file(const OpenFile& file, const std::vector<OpenFile>& files,
                   const SocketTable& sockets, const Family& family) {
  if (S_ISSOCK(file.mode)) {
    return name_socket(file, files, sockets, family);
  }
  if (S_ISFIFO(file.mode)) {
    const bool unnamed = file.link.starts_with("pipe:");
    return {Kind::pipe, unnamed ? "" : file.path(), unnamed ? "a pipe" : "the pipe " + file.path(),
            true};
  }
  if (file.link.starts_with("anon_inode:")) {
    return name_anonymous(file);
  }
  return name_file(file);
}

std::string evidence(const OpenFile& file, const Family& family) {
  std::string text = fmt::format("{}: {}, one open file (kcmp)", who(file, family), file.link);
  if (S_ISREG(file.mode)) {
    text += fmt::format(", position {}", file.position);
  }
  text += file.held_by(family.loader.pid)
              ? fmt::format(", and in pid {} that they were forked from", family.loader.pid)
              : "";
  return text;
}

Finding to_finding(const Named& named, const OpenFile& file, const Family& family) {
  const std::size_t holders = worker_holders(file, family).size();
  Finding finding = make_finding(named.kind, named.thing,
                                 fmt::format("{} is one and the same in {} of {} workers",
                                             named.noun, holders, family.workers.size()),
                                 evidence(file, family));
  finding.harm = named.harm;
  if (named.kind == Kind::socket && !named.harm) {
    finding.why = "who only sends does no harm; what is answered is taken by any of the workers";
  }
  if (named.kind == Kind::reading_position) {
    finding.why = "no harm to who maps it or reads by pread(); read() in one worker moves all";
  }
  finding.cure = cure_for(named.kind, family.server);
  return finding;
}

// flock and OFD locks belong to the open file. POSIX locks, which fdinfo shows too, are examined
// with what a fork drops.
void add_lock(std::vector<Finding>& findings, const OpenFile& file, const Family& family) {
  const auto lock = std::find_if(file.locks.begin(), file.locks.end(), [](const std::string& line) {
    return line.find("POSIX") == std::string::npos;
  });
  if (lock == file.locks.end()) {
    return;
  }
  const std::string path = file.path();
  Finding finding =
      make_finding(Kind::file_lock, path,
                   fmt::format("a lock on {} is held by {} of {} workers at once", path,
                               worker_holders(file, family).size(), family.workers.size()),
                   fmt::format("{}:{}", who(file, family), *lock));
  finding.cure = cure_for(Kind::file_lock, family.server);
  findings.push_back(std::move(finding));
}

// Ten connections to one database are one thing to mend.
void merge(std::vector<Finding>& findings) {
  std::vector<Finding> merged;
  constexpr int kMostInEvidence = 3;
  std::map<std::string, std::pair<std::size_t, int>> by_name;  // where, and how many
  for (Finding& finding : findings) {
    const auto [known, is_new] = by_name.try_emplace(finding.name(), merged.size(), 1);
    if (is_new) {
      merged.push_back(std::move(finding));
    } else {
      ++known->second.second;
      Finding& first = merged[known->second.first];
      first.harm = first.harm || finding.harm;
      if (known->second.second <= kMostInEvidence) {
        first.evidence += "; " + finding.evidence;
      }
    }
  }
  for (const auto& [name, place] : by_name) {
    if (place.second > 1) {
      merged[place.first].what += fmt::format(" ({} of them)", place.second);
    }
  }
  findings = std::move(merged);
}

}  // namespace

bool is_shared(const OpenFile& file, const Family& family) {
  const std::size_t holders = worker_holders(file, family).size();
  return holders > 1 ||
         (holders == 1 && family.workers.size() == 1 && file.held_by(family.loader.pid));
}

SharedFiles examine_files(const Family& family, const std::vector<OpenFile>& files,
                          const SocketTable& sockets, const std::set<std::uint64_t>& mapped) {
  SharedFiles result;
  Purposes purposes(family, files, sockets);
  for (const OpenFile& file : files) {
    if (!is_shared(file, family) || (S_ISREG(file.mode) && mapped.contains(file.inode))) {
      continue;
    }
    if (const auto purpose = purposes.of(file)) {
      ++result.on_purpose[std::string(*purpose)];
      if (*purpose == kLog) {
        add_lock(result.findings, file, family);
      }
      continue;
    }
    result.findings.push_back(to_finding(name_of_file(file, files, sockets, family), file, family));
    add_lock(result.findings, file, family);
  }
  merge(result.findings);
  return result;
}

}  // namespace forktail::doctor
