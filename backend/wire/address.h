// Where a socket is: a unix path or an IP address and port, as options write it.
//
// A value. parse_address() may ask the resolver and so block: call it at start, never in the
// request path.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

namespace forktail::wire {

struct Address {
  sockaddr_storage storage;
  socklen_t size;    // of the part of `storage` that bind() and connect() are to read
  std::string text;  // for messages: as it was written, without "unix:"

  [[nodiscard]] bool is_unix() const;
  // A TCP address that only this machine can reach: 127.0.0.0/8 or ::1. False for unix sockets.
  [[nodiscard]] bool is_loopback() const;
  // The path of a unix socket, "@name" for an abstract one; empty for TCP.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Reads, as uWSGI and nginx write them:
//   /run/x.sock  ./x.sock  x.sock  unix:/run/x.sock     a unix socket's path
//   @name  unix:@name                                   Linux's abstract namespace
//   127.0.0.1:3031  [::1]:3031  localhost:3031          IP address or name, and port
//   :3031                                               all IPv4 addresses
// Of a name that resolves to several addresses the first is taken. Throws std::invalid_argument
// with a message that names the address, what is wrong and what would be right.
Address parse_address(std::string_view text);

// Whether that is the path of a unix socket; without resolving anything, and for any text.
bool names_path(std::string_view text);

}  // namespace forktail::wire
