// The signals that the master obeys, and what each orders: TERM and QUIT stop gracefully (a second
// one, a second later, kills), INT stops at once, HUP reloads, USR1 reopens the logs, USR2 upgrades
// the binary, TTIN and TTOU start and end a worker, WINCH, unless a terminal may have sent it, ends
// the workers and keeps the master.
//
// Belongs to the master's loop, which is woken by CHLD as well. They are blocked and read from a
// descriptor: nothing is done in a handler.
#pragma once

#include <poll.h>

#include <vector>

#include "log/sink.h"
#include "server/os/descriptor.h"

namespace forktail::server {

class Master;

class SignalOrders {
 public:
  // Blocks them. Both must outlive it. Throws std::system_error.
  SignalOrders(Master& master, log::Sink& sink);

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  // Obeys those that have come.
  void attend();

 private:
  void obey(int signal);
  void upgrade();
  void scale(int signal);

  Master& master_;
  log::Sink& sink_;
  Descriptor descriptor_;
};

}  // namespace forktail::server
