#include "server/child/generation_share.h"

#include <nlohmann/json.hpp>

namespace forktail::server {

GenerationShare::GenerationShare(pid_t master_pid, int number, const Options& its_options,
                                 Slots& its_slots, DispatchShare& its_dispatch, log::Sink& its_sink,
                                 const std::optional<LogGroups>& its_log_groups)
    : master(master_pid),
      generation(number),
      options(its_options),
      slots(its_slots),
      dispatch(its_dispatch),
      sink(its_sink),
      log_groups(its_log_groups ? &*its_log_groups : nullptr) {}

std::vector<int> GenerationShare::descriptors() const {
  ShareDescription description(*this);
  std::vector<int> all;
  for (const int* part : description.parts()) {
    all.push_back(*part);
  }
  return all;
}

ShareDescription::ShareDescription(const GenerationShare& share)
    : master(share.master),
      generation(share.generation),
      seats(share.slots.seats()),
      kept_base(share.dispatch.kept.numbers().base),
      kept_capacity(share.dispatch.kept.capacity()),
      slots(share.slots.memfd()),
      epoll(share.dispatch.epoll.get()),
      kept(share.dispatch.kept.memfd()),
      log_groups(share.log_groups != nullptr ? share.log_groups->memfd() : -1),
      mailboxes(share.dispatch.mailboxes.descriptors()),
      listeners(share.dispatch.listeners) {}

std::vector<int*> ShareDescription::parts() {
  std::vector<int*> all{&slots, &epoll, &kept};
  if (log_groups >= 0) {
    all.push_back(&log_groups);
  }
  for (int& mailbox : mailboxes) {
    all.push_back(&mailbox);
  }
  return all;
}

void to_json(nlohmann::json& json, const ShareDescription& description) {
  json = {{"master", description.master},
          {"generation", description.generation},
          {"seats", description.seats},
          {"kept_base", description.kept_base},
          {"kept_capacity", description.kept_capacity},
          {"slots", description.slots},
          {"epoll", description.epoll},
          {"kept", description.kept},
          {"log_groups", description.log_groups},
          {"mailboxes", description.mailboxes},
          {"listeners", description.listeners}};
}

void from_json(const nlohmann::json& json, ShareDescription& description) {
  json.at("master").get_to(description.master);
  json.at("generation").get_to(description.generation);
  json.at("seats").get_to(description.seats);
  json.at("kept_base").get_to(description.kept_base);
  json.at("kept_capacity").get_to(description.kept_capacity);
  json.at("slots").get_to(description.slots);
  json.at("epoll").get_to(description.epoll);
  json.at("kept").get_to(description.kept);
  json.at("log_groups").get_to(description.log_groups);
  json.at("mailboxes").get_to(description.mailboxes);
  json.at("listeners").get_to(description.listeners);
}

JoinedShare::JoinedShare(const ShareDescription& description, const Options& options,
                         log::Sink& sink)
    : slots_(description.slots, description.seats, options.threads),
      dispatch_{Descriptor(description.epoll), description.listeners,
                KeptTable(description.kept, {description.kept_base, description.kept_capacity},
                          description.seats),
                Mailboxes(description.mailboxes)},
      log_groups_(description.log_groups < 0
                      ? std::nullopt
                      : std::optional<LogGroups>(std::in_place, description.log_groups,
                                                 description.seats, options.threads)),
      share_(description.master, description.generation, options, slots_, dispatch_, sink,
             log_groups_) {}

}  // namespace forktail::server
