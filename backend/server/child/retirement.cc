#include "server/child/retirement.h"

#include <fmt/format.h>
#include <unistd.h>

#include "server/os/process_memory.h"

namespace forktail::server {

Retirement::Retirement(const Options& options, unsigned random)
    : most_requests_(options.max_requests == 0
                         ? 0
                         : options.max_requests +
                               random %
                                   (static_cast<std::uint64_t>(options.max_requests_delta) + 1)),
      most_memory_(options.reload_on_rss) {}

std::string Retirement::due() {
  const std::uint64_t requests = ++requests_;
  if (most_requests_ != 0 && requests >= most_requests_) {
    return fmt::format("{} requests (max-requests)", requests);
  }
  if (most_memory_ != 0 && memory_exceeded()) {
    return fmt::format("more than {} MiB of memory (reload-on-rss)", most_memory_ >> 20);
  }
  return {};
}

// At most ten times a second: the file under /proc costs more than a small request.
bool Retirement::memory_exceeded() {
  constexpr std::int64_t kPause = 100'000'000;
  const std::int64_t now =
      std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  std::int64_t at = look_at_memory_ns_.load();
  if (now < at || !look_at_memory_ns_.compare_exchange_strong(at, now + kPause)) {
    return false;
  }
  return resident_bytes(getpid()) > most_memory_;
}

}  // namespace forktail::server
