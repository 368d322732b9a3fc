#include "server/master/upgrade_new.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>

#include "server/os/environment.h"

namespace forktail::server {

// A key that another version does not write keeps its default.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(UpgradeDescription::Socket, descriptor, ours,
                                                device, inode)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(UpgradeDescription, channel, generation, ledger,
                                                listeners, endpoints, log, logto, log_maker,
                                                pidfile, pidfile_path, tls_queue_in, tls_queue_out,
                                                tls_files)

namespace {

UpgradeDescription read_description(int descriptor) {
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size = 0;
       (size = pread(descriptor, part.data(), part.size(), static_cast<off_t>(text.size()))) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return nlohmann::json::parse(text).get<UpgradeDescription>();
}

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
  const std::string text = nlohmann::json(description).dump();
  Descriptor memfd(memfd_create("forktail-upgrade", MFD_CLOEXEC));
  if (!memfd ||
      pwrite(memfd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw std::system_error(errno, std::generic_category(),
                            "cannot describe the sockets to the new master");
  }
  return memfd;
}

Inherited Inherited::from_environment() {
  const std::string number = take_variable("FORKTAIL_UPGRADE");
  if (number.empty()) {
    return {};
  }
  try {
    const Descriptor memfd(static_cast<int>(whole_number(number).value_or(-1)));
    const UpgradeDescription description = read_description(memfd.get());
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

}  // namespace forktail::server
