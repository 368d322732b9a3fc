// Whose turn it is to write, among a process's threads and, of a worker that gathers, the master.
//
// Threads take their turns by a lock in memory of their own. The master's part is a number in
// memory that other workers can write, too: it is waited for, but not for good.
#pragma once

#include <chrono>

#include "log/sink.h"
#include "log/thread_ids.h"

namespace forktail::log {

class Turn {
 public:
  explicit Turn(Sink& sink) noexcept : sink_(sink) {
    const pid_t process = thread_ids().process;
    if (sink_.process_.load(std::memory_order_relaxed) != process) {
      sink_.set_identity(sink_.identity_);  // a copy: what its original held, nobody releases here
    }
    sink_.own_order_.lock();
    if (sink_.order_ != &sink_.own_order_) {
      sink_.order_->lock_after(kPatience);
    }
  }

  ~Turn() {
    if (sink_.order_ != &sink_.own_order_) {
      sink_.order_->unlock();
    }
    sink_.own_order_.unlock();
  }

  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  // The master has its turn for one write(2), and may be stopped within it.
  static constexpr std::chrono::milliseconds kPatience{1000};

  Sink& sink_;
};

}  // namespace forktail::log
