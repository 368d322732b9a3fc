// What the master tells of itself and of its generations, and what has come of its orders.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "server/master/master.h"
#include "server/os/listen_queue.h"

namespace forktail::server {

namespace {

// Which may be removed by now: then the kernel says so behind the path.
std::string directory_of_this_process() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/cwd", error);
  return error ? "" : path.string();
}

}  // namespace

Counters Master::totals() const {
  Counters totals = past_;
  totals.log_lines_dropped += sink_->dropped();
  for (const auto& generation : generations_) {
    totals.add(generation->totals());
  }
  if (inherited_.ledger != nullptr) {
    totals.add(inherited_.ledger->read());
  }
  return totals;
}

std::vector<pid_t> Master::worker_pids() const {
  std::vector<pid_t> pids;
  for (const auto& generation : generations_) {
    const std::vector<pid_t> its = generation->worker_pids();
    pids.insert(pids.end(), its.begin(), its.end());
  }
  return pids;
}

Stats Master::stats(const std::map<pid_t, ProcessMemory>& memory) const {
  Stats stats;
  stats.version = "forktail " FORKTAIL_VERSION;
  stats.pid = getpid();
  stats.uid = getuid();
  stats.gid = getgid();
  stats.cwd = directory_of_this_process();
  stats.totals = totals();
  if (current_ != nullptr) {
    stats.generation = current_->number();
    stats.fork_mode = to_string(current_->options().fork_mode);
    stats.wanted = current_->wanted();
    stats.workers = current_->worker_stats(memory);
  }
  // Behind them those who finish what they have, the newest first.
  for (auto one = generations_.rbegin(); one != generations_.rend(); ++one) {
    const bool leaves = (*one)->phase() == Generation::Phase::leaving ||
                        (*one)->phase() == Generation::Phase::failed;
    if (leaves && one->get() != current_) {
      for (WorkerStats& worker : (*one)->worker_stats(memory)) {
        if (worker.pid != 0) {
          stats.workers.push_back(std::move(worker));
        }
      }
    }
  }
  for (const Listener& listener : listeners_) {
    stats.sockets.push_back({listener.address.text, listen_queue(listener.descriptor.get())});
  }
  return stats;
}

// Which processes have failed; each has said why in the file that it goes on with.
std::optional<std::string> Master::reopen_outcome() const {
  if (!logs_reopened()) {
    return std::nullopt;
  }
  std::string failures = log_reopened_ ? "" : " the master";
  for (const auto& generation : generations_) {
    for (const int id : generation->reopen_failures()) {
      failures += fmt::format("{} worker {} of generation {}", failures.empty() ? "" : ",", id,
                              generation->number());
    }
  }
  return failures.empty() ? "ok logs are reopened"
                          : fmt::format(
                                "failed the log could not be reopened by{}; the old file "
                                "stays in use there and says why",
                                failures);
}

std::optional<std::string> Master::stop_outcome() {
  if (!exit_code_) {
    return std::nullopt;
  }
  const std::string flaws = flaws_of_stop();
  return flaws.empty() ? "ok stopped" : "failed stopped, but " + flaws;
}

std::string Master::flaws_of_stop() {
  std::vector<std::string> flaws;
  if (const std::uint64_t lost = totals().lost - lost_before_stop_; lost != 0) {
    flaws.push_back(fmt::format(
        "{} {} cut: the log names each (\"event\":\"lost\"); a longer reload-mercy lets them end",
        lost, lost == 1 ? "request was" : "requests were"));
  }
  const auto remove = [&flaws](Listener& listener) {
    if (!listener.remove_file()) {
      flaws.push_back(fmt::format("{} could not be removed: {}", listener.address.text,
                                  std::generic_category().message(errno)));
    }
  };
  std::for_each(listeners_.begin(), listeners_.end(), remove);
  for (const auto& endpoint : control_.endpoints()) {
    remove(endpoint->listener());
  }
  if (!pidfile_.remove()) {
    flaws.push_back(fmt::format("the pidfile {} could not be removed: {}", options_.pidfile,
                                std::generic_category().message(errno)));
  }
  return fmt::format("{}", fmt::join(flaws, "; "));
}

}  // namespace forktail::server
