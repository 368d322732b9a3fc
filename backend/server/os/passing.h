// Messages with a descriptor along, over unix sockets (unix(7), SCM_RIGHTS).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>

#include "server/os/descriptor.h"

namespace forktail::server {

// Sends one message without waiting; `passed` -1: no descriptor. False with errno when it can not
// be.
bool send_message(int socket, std::span<const std::byte> message, int passed);

// Receives one message without waiting. Returns its size, 0 at the end, -1 with errno. `sender` is
// the process that sent it, as the kernel knows it, when know_senders() was called for the socket;
// 0 otherwise.
ssize_t receive_message(int socket, std::span<std::byte> message, Descriptor& passed,
                        pid_t* sender = nullptr);

// Has the kernel name the sender of each message that is received on this socket.
void know_senders(int socket);

}  // namespace forktail::server
