#include "server/dispatch/mailboxes.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/os/passing.h"

namespace forktail::server {

namespace {

struct MailFrame {
  MailKind kind;
  KeptId id;
  std::uint32_t membership;
};

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
  }
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
  const MailFrame frame{mail.kind, mail.id, mail.membership};
  return send_message(ends_[static_cast<std::size_t>(seat) * 2 + 1].get(),
                      std::as_bytes(std::span(&frame, 1)), descriptor);
}

bool Mailboxes::take(int seat, Mail& mail) const {
  MailFrame frame{};
  if (receive_message(incoming(seat), std::as_writable_bytes(std::span(&frame, 1)),
                      mail.descriptor) != sizeof(frame)) {
    return false;
  }
  mail.kind = frame.kind;
  mail.id = frame.id;
  mail.membership = frame.membership;
  return true;
}

}  // namespace forktail::server
