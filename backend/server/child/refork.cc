#include "server/child/refork.h"

#include <dirent.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "server/child/template.h"
#include "server/child/worker_harakiri.h"
#include "server/dispatch/orders.h"
#include "server/shared/output.h"

namespace forktail::server {

namespace {

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
void let_go(const GenerationShare& share) {
  reserve(share.dispatch.kept.numbers());  // which closes what was kept
  share.slots.release();
  share.dispatch.kept.release();
  share.dispatch.mailboxes.release();
  share.dispatch.epoll.reset();
}

// All messages up to the end of the socket; false when they do not come.
bool receive(const Channel& orders, std::string& text, std::vector<Descriptor>& descriptors) {
  for (;;) {
    pollfd watched{orders.descriptor(), POLLIN, 0};
    constexpr int kPatienceMs = 10'000;
    if (poll(&watched, 1, kPatienceMs) == 0) {
      return false;
    }
    bool ended = false;
    std::optional<Message> message = orders.receive(ended);
    if (ended) {
      return !text.empty();
    }
    if (message && message->descriptor) {
      descriptors.push_back(std::move(message->descriptor));
    } else if (message) {
      text = message->text;
    }
  }
}

}  // namespace

// The description, then its descriptors in the order of parts(), then the channel.
bool send_share(const Channel& orders, const GenerationShare& share, const Channel& channel) {
  std::vector<int> descriptors = share.descriptors();
  descriptors.push_back(channel.descriptor());
  bool sent = orders.send({MessageType::refork, 0, nlohmann::json(ShareDescription(share)).dump()});
  for (const int descriptor : descriptors) {
    Descriptor passed(dup(descriptor));
    sent = sent && orders.send({MessageType::refork, 0, {}, std::move(passed)});
  }
  return sent;
}

void become_template(const GenerationShare& share, int worker, const Channel& master,
                     Channel orders, App& app) {
  orders::disobey();  // they are the next worker's on this seat
  if (share.options.harakiri.count() > 0) {
    stop_harakiri_watch();
  }
  if (const std::string threads = other_threads(); !threads.empty()) {
    master.send({MessageType::refork_failed, worker,
                 fmt::format("worker {} still has other threads after on_worker_stop ({}), and a "
                             "process with threads can not be forked from; end them there",
                             worker, threads)});
    _exit(0);
  }
  flush_output();
  master.send({MessageType::reforked, worker});

  std::string text;
  std::vector<Descriptor> descriptors;
  if (!receive(orders, text, descriptors)) {
    _exit(1);
  }
  ShareDescription description = nlohmann::json::parse(text).get<ShareDescription>();
  const std::vector<int*> parts = description.parts();
  if (descriptors.size() != parts.size() + 1) {
    _exit(1);
  }
  let_go(share);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    *parts[i] = descriptors[i].release();
  }
  // It lives as long as the process: what runs below never returns.
  const auto& joined = *new JoinedShare(description, share.options, share.sink);
  close(master.descriptor());
  orders.close();
  run_reforked_template(joined.share(), Channel(std::move(descriptors.back())), app);
}

}  // namespace forktail::server
