#include "server/generation/worker_starts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <system_error>

#include "server/os/limits.h"

namespace forktail::server {

using log::EventKind;
using std::chrono::milliseconds;

std::string WorkerStarts::order(int worker) {
  std::pair<Channel, Channel> ends;
  try {
    ends = Channel::make();
  } catch (const std::system_error& error) {
    return error.what();
  }
  auto& [ours, theirs] = ends;
  parts_.admit(worker);
  if (template_.spawn(worker, std::move(theirs))) {
    workers_.add(worker, std::move(ours));
  } else {
    // Its queue is full, or it is about to be reaped.
    workers_.start_later(worker, milliseconds(100));
  }
  return {};
}

std::string WorkerStarts::impossible(int worker, const std::string& why) {
  return fmt::format("worker {} could not be started: {}", worker, why);
}

// Those that are there serve on.
void WorkerStarts::try_again(int worker, const std::string& why) {
  sink_.write(EventKind::fork_failed, {}, impossible(worker, why),
              {{"of_worker", std::int64_t{worker}}, {"reason", why}});
  note_failed(impossible(worker, why));
  workers_.start_later(worker, std::chrono::seconds(1));
}

std::optional<int> WorkerStarts::note_spawned(int worker, pid_t pid) {
  if (Workers::is_child(pid)) {  // who had its number before is of no interest any more
    std::erase_if(unclaimed_, [pid](const auto& one) { return one.first == pid; });
  }
  const auto death =
      std::ranges::find_if(unclaimed_, [pid](const auto& one) { return one.first == pid; });
  if (death == unclaimed_.end()) {
    if (!workers_.note_spawned(worker, pid)) {
      sink_.write(
          EventKind::template_failed, {},
          fmt::format("killing the template (pid {}): it names pid {} as worker {}, which is no "
                      "process of the server's",
                      template_.pid(), pid, worker),
          {{"reason", "it lies"}});
      template_.kill();
    }
    return std::nullopt;
  }
  if (!workers_.has(worker) || workers_.pid_of(worker) != 0) {
    return std::nullopt;
  }
  const int status = death->second;
  unclaimed_.erase(death);
  workers_.find(worker)->pid = pid;
  return status;
}

bool WorkerStarts::note_spawn_failed(const Message& message) {
  const int worker = message.worker;
  if (!workers_.has(worker) || workers_.pid_of(worker) != 0) {
    return false;
  }
  workers_.remove(worker);
  parts_.dismiss(worker);
  try_again(worker, message.text);
  return true;
}

void WorkerStarts::keep_unclaimed(pid_t pid, int status) {
  if (unclaimed_.size() == limits::kMostUnclaimedDeaths) {
    unclaimed_.pop_front();
  }
  unclaimed_.emplace_back(pid, status);
}

void WorkerStarts::forget_unforked() {
  for (const int worker : workers_.remove_unforked()) {
    parts_.dismiss(worker);
  }
}

void WorkerStarts::note_failed(const std::string& why) {
  ++failed_;
  last_failed_ = why;
}

}  // namespace forktail::server
