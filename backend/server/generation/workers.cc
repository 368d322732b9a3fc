#include "server/generation/workers.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

namespace forktail::server {

namespace {

// One that has ended and was not waited for is a child still, so its number is nobody else's.
bool is_child(pid_t pid) {
  siginfo_t info{};
  return pid > 0 && waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

}  // namespace

Workers::Process* Workers::find(int worker) {
  const auto found = processes_.find(worker);
  return found == processes_.end() ? nullptr : &found->second;
}

pid_t Workers::pid_of(int worker) const {
  const auto found = processes_.find(worker);
  return found == processes_.end() ? 0 : found->second.pid;
}

std::optional<int> Workers::number_of(pid_t pid) const {
  for (const auto& [worker, process] : processes_) {
    if (process.pid == pid) {
      return worker;
    }
  }
  return std::nullopt;
}

std::vector<int> Workers::numbers() const {
  std::vector<int> all;
  for (const auto& [worker, process] : processes_) {
    all.push_back(worker);
  }
  return all;
}

bool Workers::any_ready() const { return count_ready() > 0; }

int Workers::count_ready() const {
  return static_cast<int>(std::count_if(processes_.begin(), processes_.end(),
                                        [](const auto& entry) { return entry.second.ready; }));
}

bool Workers::settled(int wanted) const {
  return static_cast<int>(processes_.size()) == wanted &&
         std::all_of(processes_.begin(), processes_.end(),
                     [](const auto& entry) { return entry.second.ready && !entry.second.leaving; });
}

std::vector<int> Workers::missing(int wanted, Clock::time_point now) const {
  std::vector<int> all;
  for (int worker = 1; worker <= wanted; ++worker) {
    const auto absent = absent_.find(worker);
    if (!has(worker) && (absent == absent_.end() || absent->second <= now)) {
      all.push_back(worker);
    }
  }
  return all;
}

void Workers::start_later(int worker, std::chrono::milliseconds wait) {
  absent_[worker] = Clock::now() + wait;
}

void Workers::start_none_above(int wanted) {
  std::erase_if(absent_, [&](const auto& absence) { return absence.first > wanted; });
}

std::optional<Workers::Clock::time_point> Workers::next_start() const {
  std::optional<Clock::time_point> next;
  for (const auto& [worker, at] : absent_) {
    next = std::min(next.value_or(at), at);
  }
  return next;
}

void Workers::add(int worker, Channel channel) {
  absent_.erase(worker);
  if (!first_starts_.insert(worker).second) {
    ++history_[worker].respawns;
  }
  Process& process = processes_[worker];
  process = {};
  process.channel = std::move(channel);
  process.started = Clock::now();
  process.requests_before = counters_of(worker).requests;
}

bool Workers::note_spawned(int worker, pid_t pid) {
  Process* process = find(worker);
  if (!is_child(pid) || number_of(pid)) {
    return false;
  }
  if (process == nullptr || process->pid != 0) {
    ::kill(pid, SIGKILL);  // nobody waits for it any more
    return true;
  }
  process->pid = pid;
  for (const int signal : std::exchange(process->signals, {})) {
    ::kill(pid, signal);
  }
  return true;
}

std::vector<int> Workers::remove_unforked() {
  std::vector<int> removed;
  std::erase_if(processes_, [&](const auto& entry) {
    if (entry.second.pid == 0) {
      removed.push_back(entry.first);
    }
    return entry.second.pid == 0;
  });
  return removed;
}

std::vector<std::pair<int, Message>> Workers::read_messages() {
  std::vector<std::pair<int, Message>> messages;
  for (auto& [worker, process] : processes_) {
    bool ended = process.pid == 0 || process.channel.descriptor() < 0;
    while (!ended) {
      std::optional<Message> message = process.channel.receive(ended);
      if (!message) {
        break;
      }
      messages.emplace_back(worker, std::move(*message));
    }
    if (ended && process.pid != 0) {
      process.channel.close();  // its death is about to be reported
    }
  }
  return messages;
}

void Workers::watch(std::vector<pollfd>& watched) const {
  for (const auto& [worker, process] : processes_) {
    if (process.pid != 0 && process.channel.descriptor() >= 0) {
      watched.push_back({process.channel.descriptor(), POLLIN, 0});
    }
  }
}

void Workers::tell(int worker, int signal) {
  Process* process = find(worker);
  if (process == nullptr) {
    return;
  }
  if (process->pid != 0) {
    ::kill(process->pid, signal);
  } else {
    process->signals.insert(signal);
  }
}

void Workers::tell_all(int signal) {
  for (const auto& [worker, process] : processes_) {
    tell(worker, signal);
  }
}

void Workers::send_away(int worker, std::chrono::milliseconds mercy) {
  Process* process = find(worker);
  if (process != nullptr) {
    process->leaving = true;
    process->kill_at = Clock::now() + mercy;
    tell(worker, SIGTERM);
  }
}

std::vector<int> Workers::out_of_mercy(Clock::time_point now) const {
  std::vector<int> all;
  for (const auto& [worker, process] : processes_) {
    if (process.kill_at && *process.kill_at <= now) {
      all.push_back(worker);
    }
  }
  return all;
}

}  // namespace forktail::server
