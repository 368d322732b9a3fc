// An upgrade of the binary, seen from the master that is started by another one: it inherits the
// listening sockets, and a channel. The old master serves on until it is told `ready`; then it
// closes the channel, and from then on this master is in charge of socket files, control socket and
// pidfile. A channel that ends for any other reason means the same: there is nobody else left.
//
// The old master passes descriptors by inheritance and their description in a memfd, whose number
// stands in the variable FORKTAIL_UPGRADE.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/dispatch/tls_queue.h"
#include "server/master/ledger.h"
#include "server/shared/channel.h"
#include "server/shared/listeners.h"
#include "server/shared/tls_files.h"

namespace forktail::server {

// The description; the numbers are descriptors.
struct UpgradeDescription {
  struct Socket {
    int descriptor = -1;
    bool ours = false;         // the old master's, to be removed with the last master
    std::uint64_t device = 0;  // of its file, as FileId has it
    std::uint64_t inode = 0;
  };
  int channel = -1;
  int generation = 0;
  int ledger = -1;  // the counters; none from a server of before they were handed over
  std::vector<Socket> listeners;
  std::vector<Socket> endpoints;
  // What root has opened and the new master may not open again: the log, and the pidfile if it
  // could not be set aside. -1: none.
  int log = -1;
  std::string logto;
  int log_maker = -1;
  int pidfile = -1;
  std::string pidfile_path;
  int tls_queue_in = -1;  // see TlsQueue
  int tls_queue_out = -1;
  int tls_files = -1;  // see TlsFiles
};

// A memfd with it. Throws std::system_error.
Descriptor write_description(const UpgradeDescription& description);

struct Inherited {
  Channel old_master;              // without a descriptor when there is none, or none any more
  int generation = 0;              // the old master's last
  std::unique_ptr<Ledger> ledger;  // what it and those before it have counted
  std::vector<Listener> listeners;
  std::vector<Listener> endpoints;
  std::vector<int> to_own;  // descriptors of sockets that become ours
  Descriptor log;           // as in UpgradeDescription
  std::string logto;
  Descriptor log_maker;
  Descriptor pidfile;
  std::string pidfile_path;
  TlsQueue tls_queue;
  std::shared_ptr<const TlsFiles> tls;  // null: it had none

  // Empty when this process was started by anybody else. Throws std::runtime_error when
  // FORKTAIL_UPGRADE names something else.
  static Inherited from_environment();

  // Another master is still in charge.
  [[nodiscard]] bool pending() const { return old_master.descriptor() >= 0; }
  // Tells it, if it is there.
  void tell(const Message& message) const;
  // It leaves, or has died: from now on it is not pending any more.
  bool has_left();
};

}  // namespace forktail::server
