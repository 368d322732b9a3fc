#include "server/master/server_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/os/listen_queue.h"

namespace forktail::server {

namespace {

UpgradeDescription::Socket described(const Listener& listener) {
  return {listener.descriptor.get(), listener.ours, listener.file_id.device,
          listener.file_id.inode};
}

}  // namespace

ServerFiles::ServerFiles(std::vector<Listener> listeners, const Endpoints& endpoints,
                         Pidfile& pidfile, LogMaker log_maker, const Options& options,
                         log::Sink& sink)
    : listeners_(std::move(listeners)),
      endpoints_(endpoints),
      pidfile_(pidfile),
      log_maker_(std::move(log_maker)),
      options_(options),
      sink_(sink) {}

void ServerFiles::tell(Stats& stats) const {
  for (const Listener& listener : listeners_) {
    stats.sockets.push_back({listener.address.text, listen_queue(listener.descriptor.get())});
  }
}

// Those who wait at a socket of somebody else's find another server there, by and by.
bool ServerFiles::queues_end() const {
  return std::ranges::any_of(listeners_, [](const Listener& listener) { return listener.ours; });
}

void ServerFiles::lend(UpgradeDescription& description) {
  for (const Listener& listener : listeners_) {
    description.listeners.push_back(described(listener));
  }
  for (const auto& endpoint : endpoints_) {
    description.endpoints.push_back(described(endpoint->listener()));
  }
  description.log = sink_.descriptor();
  description.logto = options_.logto;
  description.log_maker = log_maker_.descriptor();
  pidfile_.set_aside();
  description.pidfile = pidfile_.shared();
  description.pidfile_path = pidfile_.path();
}

void ServerFiles::hand_over() {
  pidfile_.hand_over();
  for (Listener& listener : listeners_) {
    listener.ours = false;
  }
  for (const auto& endpoint : endpoints_) {
    endpoint->disown();
  }
}

void ServerFiles::inherit(Inherited& inherited) {
  const auto take = [&inherited](Listener& listener) {
    listener.ours |=
        std::ranges::find(inherited.to_own, listener.descriptor.get()) != inherited.to_own.end();
  };
  std::ranges::for_each(listeners_, take);
  for (const auto& endpoint : endpoints_) {
    take(endpoint->listener());
  }
  // What is left is no longer configured.
  std::ranges::for_each(inherited.endpoints, take);
  inherited.endpoints.clear();
}

std::vector<std::string> ServerFiles::remove() {
  std::vector<std::string> flaws;
  const auto remove_socket = [&flaws](Listener& listener) {
    if (!listener.remove_file()) {
      flaws.push_back(fmt::format("{} could not be removed: {}", listener.address.text,
                                  std::generic_category().message(errno)));
    }
  };
  std::ranges::for_each(listeners_, remove_socket);
  for (const auto& endpoint : endpoints_) {
    remove_socket(endpoint->listener());
  }
  if (!pidfile_.remove()) {
    flaws.push_back(fmt::format("the pidfile {} could not be removed: {}", options_.pidfile,
                                std::generic_category().message(errno)));
  }
  return flaws;
}

}  // namespace forktail::server
