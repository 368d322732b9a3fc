// Sockets that systemd, or systemd-socket-activate, has opened for this process (sd_listen_fds(3)).
//
// Called by the master before it has started anything.
#pragma once

#include <vector>

#include "server/shared/listeners.h"

namespace forktail::server {

// Whether there are any.
bool sockets_are_handed_over();

// Takes them over and removes LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES from the environment. They
// stay systemd's: it goes on listening while the server is restarted, so their files are not
// removed and their queues are never refused. Throws std::runtime_error naming a descriptor that is
// not a listening stream socket.
std::vector<Listener> take_handed_over_sockets();

}  // namespace forktail::server
