#include "doctor/dropped.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

#include "doctor/shared_files.h"

namespace forktail::doctor {

namespace {

std::map<std::string, int> count_by_name(const std::vector<Task>& threads) {
  std::map<std::string, int> counts;
  for (const Task& thread : threads) {
    ++counts[thread.name];
  }
  return counts;
}

// Of each name: how many threads at least one worker has.
std::map<std::string, int> most_in_a_worker(const Family& family) {
  std::map<std::string, int> most;
  for (const Process& worker : family.workers) {
    for (const auto& [name, count] : count_by_name(other_threads(worker.pid))) {
      most[name] = std::max(most[name], count);
    }
  }
  return most;
}

void add_threads(std::vector<Finding>& findings, const Family& family, int own_threads) {
  std::map<std::string, int> in_workers = most_in_a_worker(family);
  for (const Task& thread : other_threads(family.loader.pid)) {
    if (in_workers[thread.name]-- > 0 || own_threads-- > 0) {
      continue;
    }
    const std::string waits =
        thread.waits_in.empty() ? std::string() : fmt::format(", waits in {}", thread.waits_in);
    Finding finding = make_finding(
        Kind::thread, thread.name,
        fmt::format("a thread \"{}\" runs in pid {}, which the workers were forked from, and in "
                    "none of them",
                    thread.name, family.loader.pid),
        fmt::format("tid {}{}", thread.tid, waits));
    finding.cure = cure_for(Kind::thread, family.server);
    findings.push_back(std::move(finding));
  }
}

struct Timer {
  std::string id;
  int signal = 0;
};

std::vector<Timer> timers_of(pid_t pid) {
  std::vector<Timer> timers;
  std::istringstream lines(read_whole(fmt::format("/proc/{}/timers", pid)));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "ID:") {
      words >> timers.emplace_back().id;
    } else if (name == "signal:" && !timers.empty()) {
      words >> timers.back().signal;
    }
  }
  return timers;
}

void add_timers(std::vector<Finding>& findings, const Family& family) {
  std::size_t most = 0;
  for (const Process& worker : family.workers) {
    most = std::max(most, timers_of(worker.pid).size());
  }
  std::vector<Timer> timers = timers_of(family.loader.pid);
  // Ruby's clock, by which it changes between threads.
  std::erase_if(timers, [&](const Timer& timer) {
    return family.server == Server::puma && timer.signal == SIGVTALRM;
  });
  for (std::size_t i = most; i < timers.size(); ++i) {
    Finding finding = make_finding(
        Kind::posix_timer, fmt::format("of signal {}", timers[i].signal),
        fmt::format("a timer is armed in pid {}, which the workers were forked from, and in none "
                    "of them",
                    family.loader.pid),
        fmt::format("timer {} of signal {}", timers[i].id, timers[i].signal));
    finding.cure = cure_for(Kind::posix_timer, family.server);
    findings.push_back(std::move(finding));
  }
}

// The inodes on which `pid` holds a POSIX lock: "4: POSIX ADVISORY WRITE 12 fe:00:1114410 0 EOF".
std::map<std::uint64_t, std::string> posix_locks_of(pid_t pid) {
  std::map<std::uint64_t, std::string> locks;
  std::istringstream lines(read_whole("/proc/locks"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number;
    std::string type;
    std::string advisory;
    std::string access;
    pid_t owner = 0;
    std::string place;
    words >> number >> type >> advisory >> access >> owner >> place;
    const std::size_t colon = place.rfind(':');
    if (type == "POSIX" && owner == pid && colon != std::string::npos) {
      locks[std::strtoull(place.c_str() + colon + 1, nullptr, 10)] = line;
    }
  }
  return locks;
}

void add_locks(std::vector<Finding>& findings, const Family& family,
               const std::vector<OpenFile>& files) {
  const auto locks = posix_locks_of(family.loader.pid);
  for (const OpenFile& file : files) {
    const auto lock = locks.find(file.inode);
    if (lock == locks.end() || !file.held_by(family.loader.pid) || !is_shared(file, family) ||
        file.path().find("/.ZendSem.") != std::string::npos) {
      continue;
    }
    Finding finding = make_finding(
        Kind::file_lock, file.path(),
        fmt::format("a POSIX lock on {} is held by pid {}, and by none of the workers that have "
                    "the file",
                    file.path(), family.loader.pid),
        lock->second);
    finding.cure = cure_for(Kind::file_lock, family.server);
    findings.push_back(std::move(finding));
  }
}

}  // namespace

std::vector<Finding> examine_dropped(const Family& family, const std::vector<OpenFile>& files,
                                     int own_threads) {
  std::vector<Finding> findings;
  add_threads(findings, family, own_threads);
  add_timers(findings, family);
  add_locks(findings, family, files);
  return findings;
}

}  // namespace forktail::doctor
