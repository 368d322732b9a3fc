#include "server/generation/workers.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

namespace forktail::server {

// One that has ended and was not waited for is a child still, so its number is nobody else's.
bool Workers::is_child(pid_t pid) {
  siginfo_t info{};
  return pid > 0 && waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

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

std::vector<pid_t> Workers::pids() const {
  std::vector<pid_t> all;
  for (const auto& [worker, process] : processes_) {
    if (process.pid > 0) {
      all.push_back(process.pid);
    }
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
  if (process->doomed) {
    ::kill(pid, SIGKILL);
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
    // One that writes faster than this reads must not hold the loop.
    constexpr int kMost = 64;
    bool ended = process.pid == 0 || process.channel.descriptor() < 0;
    for (int i = 0; i < kMost && !ended; ++i) {
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

void Workers::tell(int worker, orders::Order order) {
  if (has(worker)) {
    slots_.seat(worker).orders.fetch_or(order);
  }
}

void Workers::tell_all(orders::Order order) {
  for (const auto& [worker, process] : processes_) {
    tell(worker, order);
  }
}

void Workers::kill(int worker) {
  Process* process = find(worker);
  if (process != nullptr && process->pid != 0) {
    ::kill(process->pid, SIGKILL);
  } else if (process != nullptr) {
    process->doomed = true;
  }
}

bool Workers::any_sleeps_through_orders() const {
  return std::ranges::any_of(processes_, [this](const auto& entry) {
    const int worker = entry.first;
    if ((slots_.seat(worker).orders & orders::kAll) == 0) {
      return false;
    }
    for (int thread = 0; thread < slots_.threads(); ++thread) {
      if (slots_.slot(worker, thread).asleep()) {
        return true;
      }
    }
    return false;
  });
}

void Workers::send_away(int worker, std::chrono::milliseconds mercy) {
  Process* process = find(worker);
  if (process != nullptr) {
    process->leaving = true;
    process->kill_at = Clock::now() + mercy;
    tell(worker, orders::kLeave);
  }
}

void Workers::send_all_away(std::chrono::milliseconds mercy) {
  for (const int worker : numbers()) {
    send_away(worker, mercy);
  }
}

void Workers::send_away_above(int wanted, std::chrono::milliseconds mercy) {
  for (const auto& [worker, process] : processes_) {
    if (worker > wanted && !process.leaving) {
      send_away(worker, mercy);
    }
  }
}

void Workers::give_up_start(std::chrono::milliseconds mercy) {
  for (auto& [worker, process] : processes_) {
    if (!process.ready) {
      process.ended = true;
      kill(worker);
    } else if (!process.leaving) {
      send_away(worker, mercy);
    }
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
