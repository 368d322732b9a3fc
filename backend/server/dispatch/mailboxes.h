// How a connection's descriptor gets from the process that accepted it to the others of its
// generation: one SOCK_SEQPACKET mailbox a seat, and one for the master.
//
// Made by the master with the generation; every process holds both ends of all of them, so a worker
// can write to a seat whose occupant was forked later. Any thread may post; each seat's mailbox is
// emptied by its occupant under a lock of its own. Nothing waits. A worker's mailbox has room for a
// few letters only: descriptors on their way count against the user's limit (unix(7),
// ETOOMANYREFS), and who misses one asks the master for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "server/dispatch/kept_table.h"
#include "server/os/descriptor.h"

namespace forktail::server {

enum class MailKind : std::uint32_t {
  opened,     // the connection's descriptor comes along
  closed,     // to the master: the connection is no more
  wanted,     // to the master: the worker on `seat` owns it and lacks its descriptor
  abandoned,  // to the master: the sender owns it and gives it up
};

struct Mail {
  MailKind kind = MailKind::opened;
  KeptId id{};
  int seat = 0;
  Descriptor descriptor = {};
  pid_t sender = 0;  // known in the master's mailbox only
};

class Mailboxes {
 public:
  // For `seats` workers. Throws std::system_error.
  explicit Mailboxes(int seats);
  // In a process that was exec'ed: the descriptors, in the order of descriptors().
  explicit Mailboxes(const std::vector<int>& inherited);

  [[nodiscard]] int seats() const { return static_cast<int>(ends_.size() / 2) - 1; }
  [[nodiscard]] std::vector<int> descriptors() const;
  void release() { ends_.clear(); }

  // Posts to a seat (0 is the master, worker N has seat N). `descriptor` -1: none comes along.
  // False when the mailbox is full.
  [[nodiscard]] bool post(int seat, const Mail& mail, int descriptor = -1) const;
  // The master has room for a letter, as far as nobody else takes it.
  [[nodiscard]] bool master_has_room() const;

  // The next mail of a seat. `nonsense` is what no process of the server sends; `empty` has not a
  // byte, as all have that come out of a mailbox which was shut down.
  enum class Taken { letter, nonsense, empty, nothing };
  Taken take(int seat, Mail& mail) const;
  [[nodiscard]] int incoming(int seat) const;

 private:
  std::vector<Descriptor>
      ends_;  // reading end of seat 0, its writing end, reading end of seat 1, ...
};

}  // namespace forktail::server
