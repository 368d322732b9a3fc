// The master's part in a refork: a reload whose template is a worker that has served.
#include <signal.h>

#include <exception>
#include <memory>
#include <optional>

#include "server/master/master.h"

namespace forktail::server {

bool Master::changing() const {
  return change_.reforking() != 0 ||
         (!generations_.empty() && generations_.back()->phase() == Generation::Phase::starting);
}

std::string Master::refork() {
  if (stopping_) {
    return "the server is stopping";
  }
  if (upgrade_ || replaced_) {
    return "an upgrade is under way";
  }
  if (changing()) {
    return "a reload is under way";
  }
  if (current_ == nullptr) {
    return "nothing serves";
  }
  std::string why = current_->begin_refork();
  if (why.empty()) {
    change_.begin_refork();
    systemd_.reloading("reforking");
  }
  return why;
}

void Master::attend_refork() {
  std::optional<Refork> refork;
  for (const auto& generation : generations_) {
    if (!refork) {
      refork = generation->take_refork();
    }
  }
  if (!refork) {
    if (change_.reforking() != 0 && current_ == nullptr) {
      change_.end_refork();  // the generation is gone, and with it the worker
    }
    return;
  }
  const int number = change_.end_refork();
  if (refork->failure.empty() && (stopping_ || current_ == nullptr)) {
    kill(refork->pid, SIGKILL);
    refork->failure = "the server is stopping";
  }
  if (refork->failure.empty()) {
    try {
      generations_.push_back(std::make_unique<Generation>(
          number, current_->options(), tls_.for_workers(listeners_, current_->options()), *sink_,
          kept_numbers_, &*refork));
      return;
    } catch (const std::exception& error) {
      kill(refork->pid, SIGKILL);
      refork->failure = error.what();
    }
  }
  change_.note_failure(number, refork->failure);
  const std::string status = "the refork has failed, nothing has changed: " + refork->failure;
  sink_->write(log::EventKind::refork_failed, {}, status, {{"reason", refork->failure}});
  systemd_.ready(status);
}

}  // namespace forktail::server
