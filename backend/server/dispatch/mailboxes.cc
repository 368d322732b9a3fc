#include "server/dispatch/mailboxes.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "server/os/passing.h"

namespace forktail::server {

namespace {

constexpr std::uint32_t kMailMagic = 0x666b6d6c;  // "fkml"

struct MailFrame {
  std::uint32_t magic;
  MailKind kind;
  KeptId id;
  std::int32_t seat;
};

// The least that the kernel allows: a handful of letters.
constexpr int kWorkersRoom = 1;

}  // namespace

Mailboxes::Mailboxes(int seats) {
  for (int seat = 0; seat <= seats; ++seat) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
      throw std::system_error(errno, std::generic_category(),
                              "cannot make the workers' mailboxes (two descriptors a worker)");
    }
    ends_.emplace_back(ends[0]);
    ends_.emplace_back(ends[1]);
    if (seat > 0) {
      setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &kWorkersRoom, sizeof(kWorkersRoom));
    }
  }
  know_senders(incoming(0));
}

Mailboxes::Mailboxes(const std::vector<int>& inherited) {
  for (const int fd : inherited) {
    ends_.emplace_back(fd);
  }
}

std::vector<int> Mailboxes::descriptors() const {
  std::vector<int> all;
  for (const Descriptor& end : ends_) {
    all.push_back(end.get());
  }
  return all;
}

int Mailboxes::incoming(int seat) const { return ends_[static_cast<std::size_t>(seat) * 2].get(); }

bool Mailboxes::post(int seat, const Mail& mail, int descriptor) const {
  const MailFrame frame{kMailMagic, mail.kind, mail.id, mail.seat};
  return send_message(ends_[static_cast<std::size_t>(seat) * 2 + 1].get(),
                      std::as_bytes(std::span(&frame, 1)), descriptor);
}

bool Mailboxes::master_has_room() const {
  pollfd master{ends_[1].get(), POLLOUT, 0};
  return poll(&master, 1, 0) == 1 && (master.revents & POLLOUT) != 0;
}

Mailboxes::Taken Mailboxes::take(int seat, Mail& mail) const {
  MailFrame frame{};
  const ssize_t size = receive_message(incoming(seat), std::as_writable_bytes(std::span(&frame, 1)),
                                       mail.descriptor, &mail.sender);
  if (size < 0) {
    return Taken::nothing;
  }
  if (size == 0) {
    return Taken::empty;
  }
  mail.kind = frame.kind;
  mail.id = frame.id;
  mail.seat = frame.seat;
  const bool whole =
      size == sizeof(frame) && frame.magic == kMailMagic && frame.kind <= MailKind::abandoned;
  return whole ? Taken::letter : Taken::nonsense;
}

}  // namespace forktail::server
