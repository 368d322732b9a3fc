#include "server/master/succession.h"

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

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Estate::Socket, descriptor, ours)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Estate, predecessor, channel, generation, listeners, endpoints)

namespace {

Estate read_estate(int descriptor) {
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size = 0;
       (size = pread(descriptor, part.data(), part.size(), static_cast<off_t>(text.size()))) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return nlohmann::json::parse(text).get<Estate>();
}

std::vector<Listener> adopt(const std::vector<Estate::Socket>& sockets, std::vector<int>& to_own) {
  std::vector<Listener> listeners;
  for (const Estate::Socket& socket : sockets) {
    listeners.push_back(adopt_listener(socket.descriptor));
    if (socket.ours) {
      to_own.push_back(socket.descriptor);
    }
  }
  return listeners;
}

}  // namespace

Descriptor write_estate(const Estate& estate) {
  const std::string text = nlohmann::json(estate).dump();
  Descriptor memfd(memfd_create("forktail-estate", MFD_CLOEXEC));
  if (!memfd ||
      pwrite(memfd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw std::system_error(errno, std::generic_category(), "cannot describe what to hand over");
  }
  return memfd;
}

Succession Succession::from_environment() {
  const std::string number = take_variable("FORKTAIL_UPGRADE");
  if (number.empty()) {
    return {};
  }
  try {
    const Descriptor memfd(static_cast<int>(whole_number(number).value_or(-1)));
    const Estate estate = read_estate(memfd.get());
    Succession succession;
    succession.predecessor = Channel(Descriptor(estate.channel));
    set_inheritable(estate.channel, false);
    succession.generation = estate.generation;
    succession.listeners = adopt(estate.listeners, succession.to_own);
    succession.endpoints = adopt(estate.endpoints, succession.to_own);
    return succession;
  } catch (const std::exception& error) {
    throw std::runtime_error(
        fmt::format("FORKTAIL_UPGRADE={} is set by a server that upgrades itself, and by nobody "
                    "else; unset it ({})",
                    number, error.what()));
  }
}

}  // namespace forktail::server
