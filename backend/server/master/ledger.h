// The counters that a master leaves to the one that replaces it in an upgrade, in memory that both
// map: the old one goes on counting while its last workers leave, and may be killed at that.
//
// One process writes, one reads; each number is whole by itself.
#pragma once

#include "server/generation/stats.h"
#include "server/os/shared_memory.h"

namespace forktail::server {

class Ledger {
 public:
  // For the one that writes. Throws std::system_error.
  Ledger();
  // For its successor, which inherited the memory. Throws std::system_error.
  explicit Ledger(Descriptor memfd);

  void write(const Counters& counters);
  [[nodiscard]] Counters read() const;

  [[nodiscard]] int memfd() const { return memory_.memfd(); }

 private:
  SharedMemory memory_;
};

}  // namespace forktail::server
