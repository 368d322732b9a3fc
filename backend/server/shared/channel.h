// The messages between the master and its children, over a SOCK_SEQPACKET pair: each message
// arrives whole or not at all, and the end of a process is an end of file.
//
// Owned by one thread in each process; any may send, which never blocks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "server/os/descriptor.h"

namespace forktail::server {

enum class MessageType : std::uint8_t {
  // master to template
  spawn,  // fork worker `worker`; its end of a channel comes along
  // master to worker
  refork,  // become a template, see refork.h; a socket comes along
  // template to master
  loaded,        // ready to fork
  load_failed,   // `text` says why
  spawned,       // worker `worker` is there, as `pid`
  spawn_failed,  // worker `worker` could not be forked, `text` says why
  // worker to master: a new one stands between `ready` and `refork_failed`, see is_of_worker()
  ready,          // accepts requests
  start_failed,   // `text` says why
  leaving,        // it was told to, by whomever, and ends in good order
  ordered,        // by somebody else than the master: its threads are to be woken
  reforked,       // serves no more, and waits on the socket that came with the order
  refork_failed,  // `text` says why; it ends
  // master to TLS process, which says `ready` and `start_failed` as a worker does
  leave,  // `worker` 1: the server ends, so it first accepts all that wait at its sockets
  // TLS process that leaves to master
  handed_over,  // from now on it has nothing that a worker has not got
};

// Whether a worker sends such messages.
constexpr bool is_of_worker(MessageType type) {
  return type >= MessageType::ready && type <= MessageType::refork_failed;
}

struct Message {
  MessageType type;
  int worker = 0;
  std::string text = {};
  Descriptor descriptor = {};  // passed along, or empty
  pid_t pid = 0;
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

  // Both ends. Throws std::system_error.
  static std::pair<Channel, Channel> make();

  // False when the other side is gone or its queue is full; errno says which. Text over 2,000 bytes
  // is cut.
  bool send(const Message& message) const;

  // A message; nothing when none is waiting, or, with `ended` set, when none will ever come.
  std::optional<Message> receive(bool& ended) const;

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  Descriptor release() { return std::move(descriptor_); }
  void close() { descriptor_.reset(); }
  // The other side sees the end, and what it says can still be read.
  void stop_sending() const;

 private:
  Descriptor descriptor_;
};

}  // namespace forktail::server
