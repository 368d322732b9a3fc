// Makes the log again when it was renamed, in a directory that only root can write to: what root
// opened for a server goes on working after a reopen, though the server is not root any more.
//
// It is a process of root's, started before the server gives its rights up, that can do this one
// thing: make the file of one path that it was started with, and give it to the server's user. It
// ends when the last master that holds the other end of its socket does. Belongs to the master.
#pragma once

#include <string>
#include <utility>

#include "server/os/descriptor.h"
#include "server/os/users.h"

namespace forktail::server {

class LogMaker {
 public:
  // None: ask() does nothing.
  LogMaker() = default;
  // The predecessor's.
  explicit LogMaker(Descriptor socket) : socket_(std::move(socket)) {}

  // Starts the process, which is nobody's child. Throws std::system_error.
  static LogMaker start(const std::string& path, const Identity& owner, const std::string& title);

  // Has the file made if it is not there; waits for it for a second at most.
  void ask() const;

  [[nodiscard]] int descriptor() const { return socket_.get(); }

 private:
  Descriptor socket_;
};

}  // namespace forktail::server
