#include "server/master/upgrade_new.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "server/os/environment.h"
#include "server/shared/exec_state.h"

namespace forktail::server {

// A key that another version does not write keeps its default.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(UpgradeDescription::Socket, descriptor, ours,
                                                device, inode)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(UpgradeDescription, channel, generation, ledger,
                                                listeners, endpoints, log, logto, log_maker,
                                                pidfile, pidfile_path, tls_queue_in, tls_queue_out,
                                                tls_files)

namespace {

std::vector<Listener> adopt(const std::vector<UpgradeDescription::Socket>& sockets,
                            std::vector<int>& to_own) {
  std::vector<Listener> listeners;
  for (const UpgradeDescription::Socket& socket : sockets) {
    listeners.push_back(adopt_listener(socket.descriptor));
    if (socket.inode != 0) {
      listeners.back().file_id = {socket.device, socket.inode};
    }
    if (socket.ours) {
      to_own.push_back(socket.descriptor);
    }
  }
  return listeners;
}

}  // namespace

Descriptor write_description(const UpgradeDescription& description) {
  return write_exec_state("the sockets to the new master", nlohmann::json(description));
}

Inherited Inherited::from_environment() {
  const std::string number = take_variable("FORKTAIL_UPGRADE");
  if (number.empty()) {
    return {};
  }
  try {
    const Descriptor memfd(static_cast<int>(whole_number(number).value_or(-1)));
    const UpgradeDescription description = read_exec_state(memfd.get()).get<UpgradeDescription>();
    Inherited inherited;
    inherited.old_master = Channel(Descriptor(description.channel));
    for (const int descriptor :
         {description.channel, description.log, description.log_maker, description.pidfile,
          description.tls_queue_in, description.tls_queue_out, description.tls_files}) {
      if (descriptor > STDERR_FILENO) {
        set_inheritable(descriptor, false);
      }
    }
    inherited.generation = description.generation;
    if (description.ledger >= 0) {
      set_inheritable(description.ledger, false);
      inherited.ledger = std::make_unique<Ledger>(Descriptor(description.ledger));
    }
    inherited.listeners = adopt(description.listeners, inherited.to_own);
    inherited.endpoints = adopt(description.endpoints, inherited.to_own);
    inherited.log = Descriptor(description.log);
    inherited.logto = description.logto;
    inherited.log_maker = Descriptor(description.log_maker);
    inherited.pidfile = Descriptor(description.pidfile);
    inherited.pidfile_path = description.pidfile_path;
    inherited.tls_queue = {Descriptor(description.tls_queue_out),
                           Descriptor(description.tls_queue_in)};
    if (description.tls_files >= 0) {
      inherited.tls = std::make_shared<TlsFiles>(Descriptor(description.tls_files));
    }
    return inherited;
  } catch (const std::exception& error) {
    throw std::runtime_error(
        fmt::format("FORKTAIL_UPGRADE={} is set by a server that upgrades itself, and by nobody "
                    "else; unset it ({})",
                    number, error.what()));
  }
}

void Inherited::tell(const Message& message) const {
  if (pending()) {
    old_master.send(message);
  }
}

// It says nothing: what ends is the channel.
bool Inherited::has_left() {
  bool ended = false;
  while (!ended) {
    if (!old_master.receive(ended) && !ended && errno == EAGAIN) {
      return false;
    }
  }
  old_master.close();
  return true;
}

}  // namespace forktail::server
