#include "server/generation/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "server/dispatch/tls_queue.h"

namespace forktail::server {

namespace {

int first_workers(const Options& options) {
  return options.cheaper == 0 ? options.processes
                              : std::max(options.cheaper, options.cheaper_initial);
}

}  // namespace

Scale::Scale(const Options& options, const Slots& slots, log::Sink& sink)
    : slots_(slots), sink_(sink), cheaper_(options, slots), wanted_(first_workers(options)) {}

void Scale::want(int wanted) { wanted_ = std::clamp(wanted, 1, most()); }

std::optional<int> Scale::look(bool serves, const std::vector<int>& listeners) {
  if (!cheaper_.due(Clock::now()) || !serves) {
    return std::nullopt;
  }
  int queued = 0;
  for (const int listener : listeners) {
    queued += waiting_at(listener);
  }
  const int wanted = cheaper_.workers_for_load(wanted_, queued);
  if (wanted == wanted_) {
    return std::nullopt;
  }
  sink_.write(
      log::EventKind::scaled, {},
      fmt::format("{} workers instead of {}, {} connections are waiting", wanted, wanted_, queued),
      {{"wanted", std::int64_t{wanted}}, {"reason", std::string_view("load")}});
  return wanted;
}

}  // namespace forktail::server
