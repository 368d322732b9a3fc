// What a master that is started by another one, for an upgrade of the binary, gets from it: the
// listening sockets, and a channel. The predecessor serves on until it is told `ready`; then it
// closes the channel, and from then on this master is in charge of socket files, control socket and
// pidfile. A channel that ends for any other reason means the same: there is nobody else left.
//
// The predecessor passes descriptors by inheritance and their description in a memfd, whose number
// stands in the variable FORKTAIL_UPGRADE.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "server/shared/channel.h"
#include "server/shared/listeners.h"

namespace forktail::server {

// The description; the numbers are descriptors.
struct Estate {
  struct Socket {
    int descriptor = -1;
    bool ours = false;  // the predecessor's, to be removed with the last master
  };
  pid_t predecessor = 0;
  int channel = -1;
  int generation = 0;
  std::vector<Socket> listeners;
  std::vector<Socket> endpoints;
};

// A memfd with it. Throws std::system_error.
Descriptor write_estate(const Estate& estate);

struct Succession {
  Channel predecessor;  // without a descriptor when there is none, or none any more
  int generation = 0;   // the predecessor's last
  std::vector<Listener> listeners;
  std::vector<Listener> endpoints;
  std::vector<int> to_own;  // descriptors of sockets that become ours

  // Empty when this process was started by anybody else. Throws std::runtime_error when
  // FORKTAIL_UPGRADE names something else.
  static Succession from_environment();

  // Another master is still in charge.
  [[nodiscard]] bool pending() const { return predecessor.descriptor() >= 0; }
};

}  // namespace forktail::server
