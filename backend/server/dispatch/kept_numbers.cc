#include "server/dispatch/kept_numbers.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "server/os/descriptor.h"
#include "server/os/limits.h"

namespace forktail::server {

namespace {

// The generations that overlap, each with all connections that it can have: the master holds a
// duplicate of each. More of them share what is left.
constexpr int kGenerations = 2;
// Below the range: what an application opens gets such numbers first, and select(2) wants them.
constexpr int kBelow = 1024;

int placeholder_of(const KeptNumbers& numbers) { return numbers.base + numbers.count; }

}  // namespace

KeptNumbers plan_kept_numbers(int seats) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return {};
  }
  // Two for each mailbox, the same for what else there is, for twice as many generations.
  const long infrastructure = 8L * kGenerations * (seats + 16);
  const long wanted_base = kBelow + infrastructure;
  const long wanted = wanted_base + (kGenerations + 1L) * limits::kMostKept;
  const auto hard =
      static_cast<long>(std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(wanted)));
  if (static_cast<rlim_t>(hard) > limit.rlim_cur) {
    limit.rlim_cur = static_cast<rlim_t>(hard);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  const long base = std::min(wanted_base, hard / 2);
  const long count = std::min<long>(limits::kMostKept, (hard - base) / (kGenerations + 1));
  return {static_cast<int>(base), static_cast<int>(std::max(0L, count))};
}

bool reserve(const KeptNumbers& numbers) {
  if (numbers.count == 0) {
    return true;
  }
  // O_PATH: no bytes go in or out by it (open(2)).
  Descriptor opened(open("/dev/null", O_PATH | O_CLOEXEC));
  if (!opened) {
    return false;
  }
  for (int number = placeholder_of(numbers); number >= numbers.base; --number) {
    if (number != opened.get() && dup3(opened.get(), number, O_CLOEXEC) < 0) {
      return false;
    }
  }
  if (opened.get() >= numbers.base && opened.get() <= placeholder_of(numbers)) {
    opened.release();
  }
  return true;
}

void vacate(const KeptNumbers& numbers, int descriptor) {
  if (dup3(placeholder_of(numbers), descriptor, O_CLOEXEC) < 0) {
    close(descriptor);  // the application has closed the placeholder
  }
}

}  // namespace forktail::server
