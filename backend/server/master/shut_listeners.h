// Listening sockets that an application has shut down, as one that ends "all its sockets" does:
// they are one and the same in all processes, so nobody could connect any more.
//
// Belongs to the master's loop, which the kernel wakes when it happens.
#pragma once

#include <poll.h>

#include <set>
#include <vector>

#include "log/sink.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"

namespace forktail::server {

class ShutListeners {
 public:
  // All must outlive it.
  ShutListeners(std::vector<Listener>& listeners, const Options& options, log::Sink& sink)
      : listeners_(listeners), options_(options), sink_(sink) {}

  void watch(std::vector<pollfd>& watched) const;

  // Has those listen again. True when only processes that are forked from now on can accept from
  // one of them.
  bool mend();

 private:
  bool mend(Listener& listener);

  std::vector<Listener>& listeners_;
  const Options& options_;
  log::Sink& sink_;
  std::set<int> lost_;  // for which nothing can be done
};

}  // namespace forktail::server
