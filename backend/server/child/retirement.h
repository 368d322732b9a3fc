// When a worker has done enough and is to be replaced by a fresh one: after so many requests
// (max-requests) or with so much memory (reload-on-rss).
//
// One a worker process; its threads may ask at any time. No two workers of a generation retire at
// the same moment: the leave is the Board's to give.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "server/shared/options.h"

namespace forktail::server {

class Retirement {
 public:
  // Each worker adds a random part of max-requests-delta, so that workers that started together do
  // not end together.
  Retirement(const Options& options, unsigned random);

  // After a request; the reason when it is time, else empty.
  std::string due();

 private:
  [[nodiscard]] bool memory_exceeded();

  const std::uint64_t most_requests_;  // 0: any number
  const std::uint64_t most_memory_;    // bytes of RSS; 0: any
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::int64_t> look_at_memory_ns_ = 0;
};

}  // namespace forktail::server
