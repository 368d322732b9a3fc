// What the kernel knows of sockets by their inodes: state, addresses and peers
// (NETLINK_SOCK_DIAG, sock_diag(7)).
//
// Reads only; by one thread, which changes to the network namespace of the process for a moment.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "forktail/api.h"

namespace forktail::doctor {

struct SocketFacts {
  bool is_unix = false;
  bool datagrams = false;
  bool listening = false;
  bool connected = false;
  std::string local;             // "127.0.0.1:80", a unix socket's path, "@name"; "" where unnamed
  std::string peer;              // the same of the other end
  std::uint64_t peer_inode = 0;  // of a unix socket's other end
};

// "127.0.0.1:80" or "[::1]:80"; empty for what is no IP address.
std::string text_of(const sockaddr& address);

class SocketTable {
 public:
  SocketTable() = default;
  explicit SocketTable(std::map<std::uint64_t, SocketFacts> sockets)
      : sockets_(std::move(sockets)) {}

  // The sockets in the network namespace of `pid`. What the kernel does not tell (a family that it
  // has no answer for) is not in the table.
  static SocketTable of(pid_t pid);

  // Null when the kernel did not tell of it: not bound and not connected, or of another family.
  [[nodiscard]] const SocketFacts* find(std::uint64_t inode) const;

  // Why the table is empty; "" when it is not.
  [[nodiscard]] const std::string& problem() const FORKTAIL_LIFETIMEBOUND { return problem_; }

 private:
  std::map<std::uint64_t, SocketFacts> sockets_;
  std::string problem_;
};

}  // namespace forktail::doctor
