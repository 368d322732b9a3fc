// Messages with a descriptor along, over unix sockets (unix(7), SCM_RIGHTS).
#pragma once

#include <cstddef>
#include <span>

#include "server/os/descriptor.h"

namespace forktail::server {

// Sends one message without waiting; `passed` -1: no descriptor. False with errno when it can not
// be.
bool send_message(int socket, std::span<const std::byte> message, int passed);

// Receives one message without waiting. Returns its size, 0 at the end, -1 with errno.
ssize_t receive_message(int socket, std::span<std::byte> message, Descriptor& passed);

}  // namespace forktail::server
