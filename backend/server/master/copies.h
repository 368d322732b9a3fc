// The processes that the application has forked, and that have not ended with the server.
//
// They have the server's sockets open: the next one could not listen on them. Programs that the
// application has started have nothing of the server's, and stay as they would under any other.
#pragma once

#include <sys/types.h>

#include "log/sink.h"

namespace forktail::server {

// At the end of a master, when its templates and workers have ended. Waits for a second at most.
void end_copies(log::Sink& sink);

}  // namespace forktail::server
