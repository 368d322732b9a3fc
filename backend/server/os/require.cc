#include "server/os/require.h"

#include <atomic>
#include <cstdlib>

namespace forktail::server {

namespace {

std::atomic<const char*> first_unmet = nullptr;

}  // namespace

void require(bool met, const char* what) noexcept {
  if (!met) {
    const char* none = nullptr;
    first_unmet.compare_exchange_strong(none, what);
    std::abort();
  }
}

const char* unmet() noexcept { return first_unmet; }

}  // namespace forktail::server
