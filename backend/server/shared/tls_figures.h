// What a TLS process tells the master of its connections, in memory that both map.
//
// One board a process, made by the master before it forks. The process alone writes it, the master
// reads it, also when the process is dead; processes that the master forks later do not have it.
// Each number is whole by itself.
#pragma once

#include <cstdint>

#include "server/os/shared_memory.h"

namespace forktail::server {

struct TlsFigures {
  std::uint64_t connections = 0;  // now, those in their handshake among them
  std::uint64_t handshaking = 0;  // now
  std::uint64_t waiting = 0;      // now: the workers' queue had no room for them
  std::uint64_t handshakes = 0;   // done, so far
  std::uint64_t failures = 0;  // connections that ended before a worker had them, each in the log
};

class TlsBoard {
 public:
  TlsBoard();  // throws std::system_error

  // For the master, when the process is there.
  void keep_from_others();

  void write(const TlsFigures& figures);
  [[nodiscard]] TlsFigures read() const;

 private:
  SharedMemory memory_;
};

}  // namespace forktail::server
