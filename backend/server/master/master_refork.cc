// The master's part in a refork: a reload whose template is a worker that has served.
#include <signal.h>

#include <exception>
#include <memory>
#include <optional>

#include "server/master/master.h"

namespace forktail::server {

bool Master::changing() const {
  return refork_number_ != 0 ||
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
  std::string why = current_->begin_promotion();
  if (why.empty()) {
    refork_number_ = ++last_number_;
    notifier_.reloading("reforking");
  }
  return why;
}

void Master::attend_refork() {
  std::optional<Promotion> promotion;
  for (const auto& generation : generations_) {
    if (!promotion) {
      promotion = generation->take_promotion();
    }
  }
  if (!promotion) {
    if (refork_number_ != 0 && current_ == nullptr) {
      refork_number_ = 0;  // the generation is gone, and with it the worker
    }
    return;
  }
  const int number = std::exchange(refork_number_, 0);
  if (promotion->failure.empty() && (stopping_ || current_ == nullptr)) {
    kill(promotion->pid, SIGKILL);
    promotion->failure = "the server is stopping";
  }
  if (promotion->failure.empty()) {
    try {
      generations_.push_back(std::make_unique<Generation>(number, current_->options(), listeners_,
                                                          *sink_, free_range(), *promotion));
      return;
    } catch (const std::exception& error) {
      kill(promotion->pid, SIGKILL);
      promotion->failure = error.what();
    }
  }
  failures_[number] = promotion->failure;
  const std::string status = "the refork has failed, nothing has changed: " + promotion->failure;
  sink_->write(log::EventKind::refork_failed, {}, status, {{"reason", promotion->failure}});
  notifier_.ready(status);
}

}  // namespace forktail::server
