// The lines of the log about the workers of a generation and about the requests that they have.
//
// Belongs to the generation, in the master's loop. It reads and writes, and decides nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "log/sink.h"
#include "server/generation/harakiri.h"
#include "server/generation/workers.h"
#include "server/shared/slots.h"

namespace forktail::server {

class WorkerLines {
 public:
  // All must outlive it.
  WorkerLines(log::Sink& sink, const Slots& slots, const Workers& workers)
      : sink_(sink), slots_(slots), workers_(workers) {}

  // `pattern` has a place for who it is and one for the `reason`.
  void tell(log::EventKind kind, int worker, std::string_view pattern,
            const std::string& reason = "") const;
  void tell_died(int worker, const std::string& how) const;
  void tell_overdue(const Overdue& overdue) const;

  // One line for each request that died with its worker, under the request's id; `resumed` says, by
  // thread, whose connection another worker goes on with: those requests had been answered, or not
  // begun. Returns how many were lost.
  [[nodiscard]] std::uint64_t tell_lost(int worker, const std::string& how,
                                        const std::vector<bool>& resumed) const;

 private:
  log::Sink& sink_;
  const Slots& slots_;
  const Workers& workers_;
};

}  // namespace forktail::server
