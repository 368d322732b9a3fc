// How a connection's descriptor gets from the worker that accepted it to all other processes of its
// generation: one SOCK_SEQPACKET mailbox a seat, and one for the master.
//
// Made by the master with the generation; every process holds both ends of all of them, so a worker
// can write to a seat whose occupant was forked later, and a new occupant finds what came before
// it. Any thread may post; each seat's mailbox is emptied by its occupant under a lock of its own.
// Nothing waits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "server/dispatch/kept_table.h"
#include "server/os/descriptor.h"

namespace forktail::server {

enum class MailKind : std::uint32_t {
  opened,     // the connection's descriptor comes along
  closed,     // to the master: the connection is no more
  abandoned,  // to the master: the sender owns it but never got its descriptor
  full,       // to the master: the mailbox of the seat `id.slot` is full
};

struct Mail {
  MailKind kind = MailKind::opened;
  KeptId id{};
  std::uint32_t membership = 0;  // KeptTable::membership() as the sender knew it
  Descriptor descriptor = {};
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

  // The next mail of a seat; false when there is none.
  bool take(int seat, Mail& mail) const;
  [[nodiscard]] int incoming(int seat) const;

 private:
  std::vector<Descriptor>
      ends_;  // reading end of seat 0, its writing end, reading end of seat 1, ...
};

}  // namespace forktail::server
