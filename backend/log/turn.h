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
    part_from_original(sink_);
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

  // In a copy of the sink's process: what the original held, nobody releases here.
  static void part_from_original(Sink& sink) noexcept {
    if (sink.process_.load(std::memory_order_relaxed) != thread_ids().process) {
      sink.set_identity(sink.identity_);
    }
  }

 private:
  // The master has its turn for one write(2), and may be stopped within it.
  static constexpr std::chrono::milliseconds kPatience{1000};

  Sink& sink_;
};

}  // namespace forktail::log
