#include "server/dispatch/tls_queue.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <system_error>

#include "server/os/listen_queue.h"
#include "server/os/passing.h"

namespace forktail::server {

namespace {

// All of one size: the kernel tells how many bytes wait in a queue, and not how many messages.
struct TlsQueueFrame {
  std::uint8_t last;
  std::uint16_t subject_size;
  std::array<char, TlsPeer::kMostSubject> subject;
};

}  // namespace

TlsQueue TlsQueue::make() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot make the queue between TLS and the workers");
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

bool put_connection(int writing, int connection, const TlsPeer& peer) {
  TlsQueueFrame frame{};
  frame.last = peer.last ? 1 : 0;
  const std::size_t size = std::min(peer.subject.size(), frame.subject.size());
  frame.subject_size = static_cast<std::uint16_t>(size);
  std::memcpy(frame.subject.data(), peer.subject.data(), size);
  return send_message(writing, std::as_bytes(std::span(&frame, 1)), connection);
}

int connections_in(int reading) {
  int bytes = 0;
  return ioctl(reading, SIOCINQ, &bytes) == 0 ? bytes / static_cast<int>(sizeof(TlsQueueFrame)) : 0;
}

bool is_tls_queue(int listener) {
  int listens = 1;
  socklen_t size = sizeof(listens);
  return getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 0;
}

int waiting_at(int listener) {
  return is_tls_queue(listener) ? connections_in(listener)
                                : listen_queue(listener).value_or(ListenQueue{}).waiting;
}

Descriptor take_connection(int reading, TlsPeer& peer) {
  TlsQueueFrame frame{};
  Descriptor connection;
  const ssize_t size =
      receive_message(reading, std::as_writable_bytes(std::span(&frame, 1)), connection);
  if (size < 0) {
    return {};
  }
  if (size < static_cast<ssize_t>(sizeof(frame))) {
    errno = EAGAIN;  // no TLS process is left, nor anybody who could start one
    return {};
  }
  if (!connection) {
    errno = EMFILE;  // the kernel found no number for it, and has closed it
    return {};
  }
  peer.last = frame.last != 0;
  peer.subject.assign(frame.subject.data(),
                      std::min<std::size_t>(frame.subject_size, frame.subject.size()));
  return connection;
}

}  // namespace forktail::server
