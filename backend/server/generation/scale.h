// How many workers a generation is to have: as many as it begins with, as somebody orders, or as
// the load calls for (`cheaper`).
//
// Belongs to the generation, in the master's loop. It only says; the generation acts.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "log/sink.h"
#include "server/generation/cheaper.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

class Scale {
 public:
  using Clock = std::chrono::steady_clock;

  // All must outlive it.
  Scale(const Options& options, const Slots& slots, log::Sink& sink);

  [[nodiscard]] int wanted() const { return wanted_; }
  [[nodiscard]] int most() const { return slots_.seats(); }
  void want(int wanted);

  // When to look at the load again; nothing without the option.
  [[nodiscard]] std::optional<Clock::time_point> next_look() const { return cheaper_.next(); }
  // When it is time: what wanted() is to be by the load of now, if the generation is one that
  // `serves`, with what waits at the `listeners`. Nothing is to change when it is nothing.
  std::optional<int> look(bool serves, const std::vector<int>& listeners);

 private:
  const Slots& slots_;
  log::Sink& sink_;
  Cheaper cheaper_;
  int wanted_;
};

}  // namespace forktail::server
