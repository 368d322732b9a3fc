// How many connections wait in a listening socket's queue, and how many may.
#pragma once

#include <optional>

namespace forktail::server {

struct ListenQueue {
  int waiting;
  int longest;
};

// Of TCP sockets by TCP_INFO, of unix sockets by NETLINK_SOCK_DIAG (sock_diag(7)). Nothing when the
// kernel does not tell, as in some sandboxes.
std::optional<ListenQueue> listen_queue(int listener);

}  // namespace forktail::server
