// The master's stop: who is told to leave, and in which order.
#include <algorithm>
#include <chrono>

#include "server/master/master.h"

namespace forktail::server {

namespace {

// How long a server that stops waits for handshakes, and for requests that are about to come.
constexpr std::chrono::seconds kHandingOver{2};

}  // namespace

void Master::stop(bool at_once) {
  if (!stopping_) {
    first_stop_ = Generation::Clock::now();
    sink_->write(log::EventKind::stopping, {}, "stopping");
    systemd_.stopping();
    refuse_new_connections(listeners_);
  }
  if (!stopping_) {
    lost_before_stop_ = totals().lost;
  }
  stopping_ = true;
  if (upgrade_) {
    upgrade_->give_up("the server is stopping");
  }
  workers_wanted_ = true;  // so that the end of the last worker ends the master
  if (!leave_at_) {
    tls_.leave(queues_end());
    leave_at_ = Generation::Clock::now() + kHandingOver;
  }
  if (at_once) {
    leave_at_ = Generation::Clock::now();
    attend_tls();
    for (const auto& generation : generations_) {
      generation->kill("the server was told to stop at once");
    }
    tls_.kill();
  }
}

// Those who wait at a socket of somebody else's find another server there, by and by.
bool Master::queues_end() const {
  return std::any_of(listeners_.begin(), listeners_.end(),
                     [](const Listener& listener) { return listener.ours; });
}

// What has come over TLS before a stop is answered like all that has come: workers stay until it is
// theirs.
void Master::attend_tls() {
  tls_.read_messages();
  tls_.act_on_deadlines();
  if (leave_at_ && (*leave_at_ <= Generation::Clock::now() || tls_.all_handed_over())) {
    leave_at_.reset();
    for (const auto& generation : generations_) {
      generation->leave(queues_end());  // or it would replace those it loses
    }
  }
}

}  // namespace forktail::server
