// What all processes of one generation share, and how a process comes by it that does not simply
// have it by a fork: a description of numbers, and the descriptors, which it has inherited over an
// exec or was sent.
//
// The master makes all of it with the generation. A template and its workers only use it.
#pragma once

#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "forktail/api.h"
#include "log/sink.h"
#include "server/dispatch/ready_list.h"
#include "server/shared/log_groups.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

// All that it refers to must outlive it.
struct GenerationShare {
  GenerationShare(pid_t master_pid, int number, const Options& its_options, Slots& its_slots,
                  DispatchShare& its_dispatch, log::Sink& its_sink,
                  const std::optional<LogGroups>& its_log_groups);

  // Of which it consists, but for the listeners.
  [[nodiscard]] std::vector<int> descriptors() const;

  const pid_t master;
  const int generation;
  const Options& options;
  Slots& slots;
  DispatchShare& dispatch;
  log::Sink& sink;
  const LogGroups* const log_groups;  // null: each line at once
  int app_copy = -1;  // of the application, for those who load it; -1: none (app_image.h)
};

struct ShareDescription {
  pid_t master = 0;
  int generation = 0;
  int seats = 0;
  int kept_base = 0;
  int kept_capacity = 0;
  int slots = -1;  // descriptors, from here on
  int epoll = -1;
  int kept = -1;
  int log_groups = -1;  // none
  std::vector<int> mailboxes;
  std::vector<int> listeners;  // they have the same numbers in all processes

  ShareDescription() = default;
  explicit ShareDescription(const GenerationShare& share);

  // The descriptors, but for the listeners: to be sent, and to be replaced by what has arrived.
  std::vector<int*> parts();
};

void to_json(nlohmann::json& json, const ShareDescription& description);
void from_json(const nlohmann::json& json, ShareDescription& description);

// A share that this process has joined by its description, whose descriptors it takes over. Throws
// std::system_error.
class JoinedShare {
 public:
  JoinedShare(const ShareDescription& description, const Options& options, log::Sink& sink);

  [[nodiscard]] const GenerationShare& share() const FORKTAIL_LIFETIMEBOUND { return share_; }

 private:
  Slots slots_;
  DispatchShare dispatch_;
  std::optional<LogGroups> log_groups_;
  GenerationShare share_;
};

}  // namespace forktail::server
