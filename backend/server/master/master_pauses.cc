// How the master sleeps, and what it does about time that it has not seen.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <optional>
#include <thread>
#include <vector>

#include "server/master/master.h"

namespace forktail::server {

namespace {

// So that what fails again and again takes no processor.
constexpr std::chrono::milliseconds kPauseOfFailed{100};

}  // namespace

// Until a signal, a message or a deadline.
void Master::sleep() {
  using std::chrono::milliseconds;
  std::vector<pollfd> watched{{signals_.get(), POLLIN, 0}};
  std::optional<Generation::Clock::time_point> deadline;
  const auto consider = [&](std::optional<Generation::Clock::time_point> next) {
    if (next && (!deadline || *next < *deadline)) {
      deadline = next;
    }
  };
  consider(systemd_.next_deadline());
  consider(touched_.next());
  for (const auto& generation : generations_) {
    generation->watch(watched);
    consider(generation->next_deadline());
    if (generation->has_deadlines()) {
      consider(Generation::Clock::now() + Attention::kLongestSleep);
    }
  }
  tls_.watch(watched);
  consider(tls_.next_deadline());
  if (leave_at_) {
    consider(Generation::Clock::now() + milliseconds(10));  // workers empty the queue unasked
  }
  if (upgrade_) {
    consider(Generation::Clock::now() + Attention::kLongestSleep);
    upgrade_->watch(watched);
    consider(upgrade_->next_deadline());
  }
  if (!stopping_ && !replaced_ && !inherited_.pending()) {
    shut_listeners_.watch(watched);
  }
  if (inherited_.pending()) {
    watched.push_back({inherited_.old_master.descriptor(), POLLIN, 0});
  } else {
    control_.watch(watched);
    consider(control_.next_deadline());
  }
  if (control_.awaited() || sink_->keeps_previous()) {
    consider(Generation::Clock::now() +
             milliseconds(10));  // some outcomes show in shared memory only
  }
  int timeout = -1;
  if (deadline) {
    const auto left = std::chrono::ceil<milliseconds>(*deadline - Generation::Clock::now());
    timeout = static_cast<int>(std::clamp(left, milliseconds(0), milliseconds(60'000)).count());
  }
  const auto known =
      timeout < 0 ? std::nullopt : std::optional<Attention::Clock::duration>(milliseconds(timeout));
  attention_.sleeps(Attention::Clock::now(), known);
  if (poll(watched.data(), watched.size(), timeout) < 0 && errno != EINTR) {
    std::this_thread::sleep_for(kPauseOfFailed);  // its limit of files was lowered, perhaps
  }
  note_pause(attention_.wakes(Attention::Clock::now()));
}

void Master::go_on(const std::exception& error) noexcept {
  constexpr std::chrono::seconds kSilence{1};
  const auto now = Generation::Clock::now();
  if (now >= silent_until_) {
    silent_until_ = now + kSilence;
    sink_->write(log::EventKind::step_failed, {}, "the master goes on without what it could not do",
                 {{"reason", std::string_view(error.what())}});
  }
  std::this_thread::sleep_for(kPauseOfFailed);
}

// Deadlines come as much later as nobody could do anything about them.
void Master::note_pause(Attention::Clock::duration missed) {
  using std::chrono::milliseconds;
  if (missed == missed.zero()) {
    return;
  }
  if (missed >= std::chrono::seconds(1)) {
    const std::int64_t ms = std::chrono::round<milliseconds>(missed).count();
    sink_->write(log::EventKind::paused, {},
                 fmt::format("the server stood still for {} ms: its machine was paused, or its "
                             "processes were; that time counts for no deadline",
                             ms),
                 {{"paused_ms", ms}});
  }
  for (const auto& generation : generations_) {
    generation->postpone(missed);
  }
  tls_.postpone(missed);
  if (upgrade_) {
    upgrade_->postpone(missed);
  }
}

}  // namespace forktail::server
