// What a server has in the file system and listens on: its listening sockets, the master's own
// sockets, the pidfile, and who makes its log again. Two masters share it during an upgrade; each
// thing is one master's to remove.
//
// Belongs to the master's loop. Nothing waits, but for a log that is made again.
#pragma once

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "forktail/api.h"
#include "log/sink.h"
#include "server/generation/stats.h"
#include "server/master/endpoint.h"
#include "server/master/log_maker.h"
#include "server/master/pidfile.h"
#include "server/master/shut_listeners.h"
#include "server/master/upgrade_new.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"

namespace forktail::server {

class ServerFiles {
 public:
  using Endpoints = std::vector<std::unique_ptr<Endpoint>>;

  // `options` are those of the start. What is referred to must outlive it.
  ServerFiles(std::vector<Listener> listeners, const Endpoints& endpoints, Pidfile& pidfile,
              LogMaker log_maker, const Options& options, log::Sink& sink);

  [[nodiscard]] const std::vector<Listener>& listeners() const FORKTAIL_LIFETIMEBOUND {
    return listeners_;
  }
  void tell(Stats& stats) const;
  // A listening socket goes with this master: nobody else accepts from it.
  [[nodiscard]] bool queues_end() const;
  void refuse_new_connections() const { server::refuse_new_connections(listeners_); }

  // The kernel says when an application has shut a listening socket down. mend() has it listen
  // again; true when only processes that are forked from now on can accept from it.
  void watch(std::vector<pollfd>& watched) const { shut_listeners_.watch(watched); }
  bool mend() { return shut_listeners_.mend(); }

  // The log was renamed, perhaps, and is to be there again.
  void make_log() const { log_maker_.ask(); }

  // An upgrade, from the old master: the pidfile is set aside and all is described for the new one,
  // whose it becomes by hand_over(), or not by take_back(). lend() throws std::exception.
  void lend(UpgradeDescription& description);
  void take_back() { pidfile_.put_back(); }
  void hand_over();
  // And from the new one: the old one has left.
  void inherit(Inherited& inherited);

  // With the last process. What could not be removed, and why.
  std::vector<std::string> remove();

 private:
  std::vector<Listener> listeners_;
  const Endpoints& endpoints_;
  Pidfile& pidfile_;
  LogMaker log_maker_;
  const Options& options_;
  log::Sink& sink_;
  ShutListeners shut_listeners_{listeners_, options_, sink_};
};

}  // namespace forktail::server
