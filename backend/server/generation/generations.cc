#include "server/generation/generations.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/os/earliest.h"

namespace forktail::server {

using log::EventKind;

bool Generations::starting() const {
  return !all_.empty() && all_.back().get() != current_ &&
         all_.back()->phase() <= GenerationPhase::serving;
}

void Generations::start(int number, Options options, std::vector<int> listeners,
                        const Refork* refork) {
  if (numbers_.count == 0 && options.keepalive_timeout.count() > 0 && refork == nullptr) {
    sink_.write(EventKind::keepalive_off, {},
                "no descriptors are left to keep connections: raise the limit of open files "
                "(LimitNOFILE, ulimit -n)",
                {{"reason", "the limit of open files"}});
  }
  all_.push_back(std::make_unique<Generation>(number, std::move(options), std::move(listeners),
                                              sink_, numbers_, refork));
}

std::optional<Refork> Generations::take_refork() {
  for (const auto& generation : all_) {
    if (std::optional<Refork> refork = generation->take_refork()) {
      return refork;
    }
  }
  return std::nullopt;
}

std::function<void()> Generations::fork_due() {
  for (const auto& generation : all_) {
    if (generation->template_due() && generation->fork_template()) {
      return [child = generation.get()] { child->become_template(); };
    }
  }
  return nullptr;
}

void Generations::watch(std::vector<pollfd>& watched) const {
  for (const auto& generation : all_) {
    generation->watch(watched);
  }
}

std::optional<Generations::Clock::time_point> Generations::next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const auto& generation : all_) {
    next = earliest({next, generation->next_deadline()});
  }
  return next;
}

bool Generations::has_deadlines() const {
  return std::ranges::any_of(all_,
                             [](const auto& generation) { return generation->has_deadlines(); });
}

void Generations::reap(pid_t pid, int status) {
  const bool claimed = std::ranges::any_of(
      all_, [pid, status](const auto& generation) { return generation->reap(pid, status); });
  if (!claimed) {  // an orphan of an application's own, or a worker that nobody knows yet
    for (const auto& generation : all_) {
      generation->keep_unclaimed(pid, status);
    }
  }
}

void Generations::attend() {
  for (const auto& generation : all_) {
    generation->read_messages();
    generation->act_on_deadlines();
  }
}

Generation* Generations::next() {
  return starting() && all_.back()->phase() == GenerationPhase::serving ? all_.back().get()
                                                                        : nullptr;
}

void Generations::let_next_serve() { current_ = all_.back().get(); }

std::vector<Generations::Failed> Generations::forget_gone() {
  std::vector<Failed> failed;
  for (auto at = all_.begin(); at != all_.end();) {
    if (!(*at)->gone()) {
      ++at;
      continue;
    }
    const std::unique_ptr<Generation> generation = std::move(*at);
    at = all_.erase(at);
    if (generation.get() == current_) {
      current_ = nullptr;
    } else if (current_ != nullptr) {
      current_->take_over_from(*generation);
    }
    past_.add(generation->totals());
    if (generation->phase() == GenerationPhase::failed) {
      failed.push_back({generation->number(), generation->failure(),
                        current_ == nullptr ? 0 : current_->number()});
    } else {
      sink_.write(EventKind::generation_left, {},
                  fmt::format("generation {} has left", generation->number()),
                  {{"generation", std::int64_t{generation->number()}}});
    }
  }
  return failed;
}

void Generations::postpone(Clock::duration missed) {
  for (const auto& generation : all_) {
    generation->postpone(missed);
  }
}

void Generations::leave(bool stopping) {
  for (const auto& generation : all_) {
    generation->leave(stopping);
  }
}

void Generations::leave_to_current() {
  for (const auto& generation : all_) {
    if (generation.get() != current_) {
      generation->leave(false);
    }
  }
}

void Generations::kill(const std::string& why) {
  for (const auto& generation : all_) {
    generation->kill(why);
  }
}

void Generations::reopen_logs() {
  for (const auto& generation : all_) {
    generation->reopen_logs();
  }
}

bool Generations::logs_reopened() const {
  return std::ranges::all_of(all_,
                             [](const auto& generation) { return generation->logs_reopened(); });
}

std::vector<std::string> Generations::reopen_failures() const {
  std::vector<std::string> failures;
  for (const auto& generation : all_) {
    for (const int worker : generation->reopen_failures()) {
      failures.push_back(fmt::format("worker {} of generation {}", worker, generation->number()));
    }
  }
  return failures;
}

std::vector<pid_t> Generations::worker_pids() const {
  std::vector<pid_t> pids;
  for (const auto& generation : all_) {
    const std::vector<pid_t> its = generation->worker_pids();
    pids.insert(pids.end(), its.begin(), its.end());
  }
  return pids;
}

Counters Generations::totals() const {
  Counters totals = past_;
  for (const auto& generation : all_) {
    totals.add(generation->totals());
  }
  return totals;
}

void Generations::tell(Stats& stats, const std::map<pid_t, ProcessMemory>& memory) const {
  if (current_ != nullptr) {
    stats.generation = current_->number();
    stats.fork_mode = to_string(current_->options().fork_mode);
    stats.wanted = current_->wanted();
    stats.workers = current_->worker_stats(memory);
  }
  // Behind them those who finish what they have, the newest first.
  for (auto one = all_.rbegin(); one != all_.rend(); ++one) {
    const bool leaves =
        (*one)->phase() == GenerationPhase::leaving || (*one)->phase() == GenerationPhase::failed;
    if (leaves && one->get() != current_) {
      for (WorkerStats& worker : (*one)->worker_stats(memory)) {
        if (worker.pid != 0) {
          stats.workers.push_back(std::move(worker));
        }
      }
    }
  }
}

}  // namespace forktail::server
