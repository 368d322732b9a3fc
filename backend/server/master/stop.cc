#include "server/master/stop.h"

#include <fmt/format.h>

#include <vector>

namespace forktail::server {

namespace {

// How long a server that stops waits for handshakes, and for requests that are about to come.
constexpr std::chrono::seconds kHandingOver{2};

}  // namespace

void Stop::begin(bool at_once, std::uint64_t lost) {
  if (!begun()) {
    begun_at_ = Clock::now();
    sink_.write(log::EventKind::stopping, {}, "stopping");
    systemd_.stopping();
    files_.refuse_new_connections();
    lost_before_ = lost;
  }
  if (!leave_at_) {
    tls_.leave(files_.queues_end());
    leave_at_ = Clock::now() + kHandingOver;
  }
  if (at_once) {
    leave_at_ = Clock::now();
    attend();
    generations_.kill("the server was told to stop at once");
    tls_.kill();
  }
}

// What has come over TLS before a stop is answered like all that has come: workers stay until it is
// theirs.
void Stop::attend() {
  tls_.read_messages();
  tls_.act_on_deadlines();
  if (leave_at_ && (*leave_at_ <= Clock::now() || tls_.all_handed_over())) {
    leave_at_.reset();
    generations_.leave(files_.queues_end());  // or it would replace those it loses
  }
}

std::string Stop::finish(std::uint64_t lost) {
  std::vector<std::string> flaws = files_.remove();
  if (lost != lost_before_) {
    const std::uint64_t cut = lost - lost_before_;
    flaws.insert(flaws.begin(),
                 fmt::format("{} {} cut: the log names each (\"event\":\"lost\"); a longer "
                             "reload-mercy lets them end",
                             cut, cut == 1 ? "request was" : "requests were"));
  }
  return fmt::format("{}", fmt::join(flaws, "; "));
}

}  // namespace forktail::server
