#include "server/child/promotion.h"

#include <dirent.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "server/child/template.h"
#include "server/child/timeout.h"

namespace forktail::server {

namespace {

// The number of the generation and the sizes of what it shares; the listeners have the same numbers
// in all processes.
struct Will {
  int generation = 0;
  int seats = 0;
  int kept_base = 0;
  int kept_capacity = 0;
  std::vector<int> listeners;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Will, generation, seats, kept_base, kept_capacity, listeners)

// The names of the threads beside this one; of one that has just been joined the kernel may know
// for a moment.
std::string other_threads() {
  std::string names;
  for (int attempt = 0; attempt < 100; ++attempt) {
    names.clear();
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      if (task.path().filename() != std::to_string(getpid())) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        names += (names.empty() ? "" : ", ") + name;
      }
    }
    if (names.empty()) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return names;
}

// Of the generation that it has left nothing remains mapped or open.
void let_go(const Household& household) {
  const KeptTable& kept = household.dispatch.kept;
  if (kept.capacity() > 0) {
    close_range(static_cast<unsigned>(kept.base()),
                static_cast<unsigned>(kept.base() + kept.capacity() - 1), 0);
  }
  household.slots.release();
  household.dispatch.kept.release();
  household.dispatch.mailboxes.release();
  household.dispatch.epoll.reset();
}

// All messages up to the end of the socket; false when they do not come.
bool receive(const Channel& heritage, std::string& will, std::vector<Descriptor>& descriptors) {
  for (;;) {
    pollfd watched{heritage.descriptor(), POLLIN, 0};
    constexpr int kPatienceMs = 10'000;
    if (poll(&watched, 1, kPatienceMs) == 0) {
      return false;
    }
    bool ended = false;
    std::optional<Message> message = heritage.receive(ended);
    if (ended) {
      return !will.empty();
    }
    if (message && message->descriptor) {
      descriptors.push_back(std::move(message->descriptor));
    } else if (message) {
      will = message->text;
    }
  }
}

}  // namespace

bool bequeath(const Channel& heritage, const Household& household, const Channel& channel) {
  const DispatchShare& dispatch = household.dispatch;
  const Will will{household.generation, household.slots.seats(), dispatch.kept.base(),
                  dispatch.kept.capacity(), dispatch.listeners};
  std::vector<int> descriptors{household.slots.memfd(), dispatch.epoll.get(), dispatch.kept.memfd(),
                               channel.descriptor()};
  if (household.log_groups != nullptr) {
    descriptors.push_back(household.log_groups->memfd());
  }
  const std::vector<int> mailboxes = dispatch.mailboxes.descriptors();
  descriptors.insert(descriptors.end(), mailboxes.begin(), mailboxes.end());
  bool sent = heritage.send({MessageType::promote, 0, nlohmann::json(will).dump()});
  for (const int descriptor : descriptors) {
    Descriptor passed(dup(descriptor));
    sent = sent && heritage.send({MessageType::promote, 0, {}, std::move(passed)});
  }
  return sent;
}

void become_template(const Household& household, int worker, const Channel& master,
                     Channel heritage, App& app) {
  if (household.options.harakiri.count() > 0) {
    stop_timeout_watch();
  }
  if (const std::string threads = other_threads(); !threads.empty()) {
    master.send({MessageType::promotion_failed, worker,
                 fmt::format("worker {} still has other threads after on_worker_stop ({}), and a "
                             "process with threads can not be forked from; end them there",
                             worker, threads)});
    _exit(0);
  }
  std::fflush(nullptr);
  master.send({MessageType::promoted, worker});

  std::string text;
  std::vector<Descriptor> descriptors;
  const std::size_t first_mailbox = household.log_groups != nullptr ? 5 : 4;
  if (!receive(heritage, text, descriptors) || descriptors.size() <= first_mailbox) {
    _exit(1);
  }
  let_go(household);
  const Will will = nlohmann::json::parse(text).get<Will>();
  std::vector<int> mailboxes;
  for (std::size_t i = first_mailbox; i < descriptors.size(); ++i) {
    mailboxes.push_back(descriptors[i].release());
  }
  // They live as long as the process: what runs below never returns.
  auto& slots = *new Slots(descriptors[0].release(), will.seats, household.options.threads);
  auto& dispatch = *new DispatchShare{
      std::move(descriptors[1]), will.listeners,
      KeptTable(descriptors[2].release(), will.kept_base, will.kept_capacity, will.seats),
      Mailboxes(mailboxes)};
  const LogGroups* log_groups =
      household.log_groups == nullptr
          ? nullptr
          : new LogGroups(descriptors[4].release(), will.seats, household.options.threads);
  const auto& heir = *new Household{household.master, will.generation, household.options, slots,
                                    dispatch,         household.sink,  log_groups};
  close(master.descriptor());
  heritage.close();
  run_promoted_template(heir, Channel(std::move(descriptors[3])), app);
}

}  // namespace forktail::server
