// How connections get from the processes that speak TLS to the workers: a SOCK_SEQPACKET pair, one
// for the whole server, into which those put the plain end of each connection whose client has
// begun a request. To the workers of all generations its reading end is one more listening socket:
// any idle one accepts from it, and what is left when a generation leaves is the next one's.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "server/os/descriptor.h"

namespace forktail::server {

// What a TLS process knows of its client.
struct TlsPeer {
  // The most that a subject may have.
  static constexpr std::size_t kMostSubject = 500;

  bool last = false;    // the process is leaving: the connection is to be closed after one answer
  std::string subject;  // of its certificate (RFC 4514); empty: it has shown none

  [[nodiscard]] bool is_known() const { return last || !subject.empty(); }
};

struct TlsQueue {
  Descriptor reading;
  Descriptor writing;

  // Throws std::system_error.
  static TlsQueue make();
};

// Without waiting. False with errno: EAGAIN when the queue is full. The descriptor stays the
// caller's to close.
bool put_connection(int writing, int connection, const TlsPeer& peer);

// How many wait in it.
int connections_in(int reading);

// Whether this listening socket is the reading end of such a queue.
bool is_tls_queue(int listener);

// How many wait at a listening socket, be it such a queue or not.
int waiting_at(int listener);

// The next one. Without a descriptor and with errno when there is none: as accept4(2) has it.
Descriptor take_connection(int reading, TlsPeer& peer);

}  // namespace forktail::server
