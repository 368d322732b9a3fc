// The bytes of one connection: reads and writes with deadlines, on a non-blocking socket.
//
// Used by the one thread that serves the connection. Nothing throws.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace forktail::server {

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  // The descriptor stays the caller's to close.
  explicit Connection(int descriptor) : descriptor_(descriptor) {}

  enum class Outcome { done, ended, late, failed };

  // Reads at least `least` bytes into `out`, and as many more as are there; `got` counts them, also
  // when the outcome is not `done`: `ended` by the peer, `late` at the deadline, `failed` with
  // errno.
  Outcome read(std::span<char> out, std::size_t least, Clock::time_point deadline,
               std::size_t& got);

  // Writes all of the parts, each wait for the peer being at most `patience`. With `more_follows`
  // a TCP socket may wait for the next write to fill a packet.
  Outcome write(std::span<iovec> parts, std::chrono::milliseconds patience,
                bool more_follows = false);

  // Writes `size` bytes from the beginning of a file; `sent` counts them, whatever the outcome:
  // `ended` when the file has fewer.
  Outcome send_file(int file, std::uint64_t size, std::chrono::milliseconds patience,
                    std::uint64_t& sent);

  // Before closing a connection on which the peer may still be sending: a plain close would make
  // the kernel reset it, and the peer could lose the answer that it has not read yet (RFC 9112,
  // section 9.6). Takes what comes and throws it away until the peer closes, or has been silent for
  // a second, or `patience` is over.
  void linger(std::chrono::milliseconds patience);

 private:
  Outcome wait(short events, Clock::time_point deadline) const;

  int descriptor_;
};

}  // namespace forktail::server
