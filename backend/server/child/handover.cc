#include "server/child/handover.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "server/request/tls.h"
#include "server/shared/logging.h"

namespace forktail::server {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Handover, master, generation, worker, seats, kept_base,
                                   kept_capacity, slots, epoll, kept, channel, log, log_groups,
                                   listeners, mailboxes, options, tls_cert, tls_key, tls_client_ca,
                                   tls_ticket_keys)

namespace {

// All but standard error, which every program has.
std::vector<int> descriptors(const Handover& handover) {
  std::vector<int> all = handover.listeners;
  all.insert(all.end(), handover.mailboxes.begin(), handover.mailboxes.end());
  for (const int fd : {handover.slots, handover.epoll, handover.kept, handover.channel,
                       handover.log, handover.log_groups}) {
    if (fd > STDERR_FILENO) {
      all.push_back(fd);
    }
  }
  return all;
}

}  // namespace

std::string exec_worker(const Household& household, int id, const Channel& channel) {
  Handover handover;
  handover.master = household.master;
  handover.generation = household.generation;
  handover.worker = id;
  handover.seats = household.slots.seats();
  handover.slots = household.slots.memfd();
  handover.kept_base = household.dispatch.kept.base();
  handover.kept_capacity = household.dispatch.kept.capacity();
  handover.epoll = household.dispatch.epoll.get();
  handover.kept = household.dispatch.kept.memfd();
  handover.channel = channel.descriptor();
  handover.log = household.sink.descriptor();
  if (household.log_groups != nullptr) {
    handover.log_groups = household.log_groups->memfd();
  }
  handover.listeners = household.dispatch.listeners;
  handover.mailboxes = household.dispatch.mailboxes.descriptors();
  handover.options = household.options.as_ini;
  if (household.options.tls) {
    const TlsMaterial& material = household.options.tls->material();
    handover.tls_cert = material.cert;
    handover.tls_key = material.key;
    handover.tls_client_ca = material.client_ca;
    handover.tls_ticket_keys = material.ticket_keys;
  }

  const std::string text = nlohmann::json(handover).dump();
  const int memfd = memfd_create("forktail-handover", 0);
  if (memfd < 0 ||
      pwrite(memfd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return "cannot hand over to the new process: " + std::generic_category().message(errno);
  }
  for (const int fd : descriptors(handover)) {
    set_inheritable(fd, true);
  }
  const std::string number = std::to_string(memfd);
  execl("/proc/self/exe", "forktail", "worker", number.c_str(), static_cast<char*>(nullptr));
  return "cannot exec /proc/self/exe: " + std::generic_category().message(errno);
}

Handover read_handover(int descriptor) {
  std::string text;
  std::array<char, 4096> part;
  for (ssize_t size = 0;
       (size = pread(descriptor, part.data(), part.size(), static_cast<off_t>(text.size()))) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  ::close(descriptor);
  try {
    return nlohmann::json::parse(text).get<Handover>();
  } catch (const nlohmann::json::exception&) {
    throw std::runtime_error(
        "`forktail worker` is started by the server itself, in exec mode; use `forktail serve`");
  }
}

void run_exec_worker(const Handover& handover, Options options) {
  if (!handover.tls_cert.empty()) {
    options.tls = std::make_shared<TlsContext>(TlsMaterial{
        handover.tls_cert, handover.tls_key, handover.tls_client_ca, handover.tls_ticket_keys});
  }
  prctl(PR_SET_NAME, "forktail");  // it is `exe` by now
  for (const int fd : descriptors(handover)) {
    set_inheritable(fd, false);
  }
  Slots slots(handover.slots, handover.seats, options.threads);
  DispatchShare dispatch{
      Descriptor(handover.epoll), handover.listeners,
      KeptTable(handover.kept, handover.kept_base, handover.kept_capacity, handover.seats),
      Mailboxes(handover.mailboxes)};
  const auto sink = inherit_logging(options, handover.log);
  std::optional<LogGroups> log_groups;
  if (handover.log_groups >= 0) {
    log_groups.emplace(handover.log_groups, handover.seats, options.threads);
  }
  const Household household{handover.master,
                            handover.generation,
                            options,
                            slots,
                            dispatch,
                            *sink,
                            log_groups ? &*log_groups : nullptr};
  run_worker(household, handover.worker, Channel(Descriptor(handover.channel)), nullptr);
}

}  // namespace forktail::server
