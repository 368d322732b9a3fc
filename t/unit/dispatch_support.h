// A generation of which the test is the master, and whose workers are children that carry out one
// step of a worker's life at a time, so that each can be killed between any two of them.
#pragma once

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <array>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/dispatch/kept_connections.h"
#include "server/dispatch/ready_list.h"
#include "server_support.h"

namespace forktail::server {

constexpr int kSeats = 4;
constexpr int kBase = 600;

// How many of the numbers of kept connections are in use in this process.
inline int open_descriptors(const KeptTable& kept) {
  int count = 0;
  for (std::uint32_t slot = 0; slot < static_cast<std::uint32_t>(kept.capacity()); ++slot) {
    struct stat file {};
    count += fstat(kept.descriptor(slot), &file) == 0 && S_ISSOCK(file.st_mode) ? 1 : 0;
  }
  return count;
}

class StepWorker {
 public:
  StepWorker(DispatchShare& share, int seat, std::chrono::milliseconds keepalive,
             std::chrono::milliseconds silence)
      : child_([&, seat] {
          log::Sink sink("stderr", log::Format::json);
          return obey(share, ReadyList(share, seat, keepalive, silence, sink));
        }) {
    orders_.theirs.reset();
  }

  // Each is an order, and its answer.
  std::string ask(std::string_view order) {
    send_text(orders_.ours.get(), order);
    return answer();
  }
  void begin(std::string_view order) { send_text(orders_.ours.get(), order); }
  std::string answer(std::chrono::milliseconds patience = 10s) {
    return receive_text(orders_.ours.get(), patience);
  }

  [[nodiscard]] bool has_answered() const { return readable(orders_.ours.get(), 0ms); }

  // The next connection, with what came through it.
  std::string next() { return ask("next"); }
  void kill() { child_.kill(); }
  // Waits for its end; 128 + N after signal N.
  int join() { return child_.join(); }

 private:
  int obey(DispatchShare& share, ReadyList&& ready) {
    close_inherited(share);
    Claim claim;
    for (;;) {
      const std::string order = receive_text(orders_.theirs.get(), 1h);
      if (order == "(end)") {
        return 0;
      }
      send_text(orders_.theirs.get(), carry_out(order, share, ready, claim));
    }
  }

  // What the test holds open, above all: the clients' ends, and the master's duplicates.
  void close_inherited(const DispatchShare& share) {
    std::vector<int> keep = share.mailboxes.descriptors();
    keep.insert(keep.end(), share.listeners.begin(), share.listeners.end());
    keep.push_back(share.epoll.get());
    keep.push_back(share.kept.memfd());
    keep.push_back(orders_.theirs.get());
    close_all_but(keep);
    reserve(share.kept.numbers());
  }

  static std::string yes(bool truth) { return truth ? "yes" : "no"; }

  static std::string carry_out(const std::string& order, DispatchShare& share, ReadyList& ready,
                               Claim& claim) {
    if (order == "next" || order == "glance") {
      claim = ready.next_within(0, order == "next" ? 5000ms : 50ms);
      if (!claim) {
        return "none";
      }
      return readable(claim.descriptor, 50ms) ? receive_text(claim.descriptor) : "quiet";
    }
    if (order == "take event") {  // and does not act on it
      epoll_event event{};
      return yes(epoll_wait(share.epoll.get(), &event, 1, 5000) == 1);
    }
    if (order == "allocate") {
      return yes(share.kept.allocate(ReadyList::owner(1, 0)).has_value());
    }
    if (order == "at hand") {
      claim = ready.next_at_hand();
      return yes(static_cast<bool>(claim));
    }
    if (order == "publish") {
      return yes(ready.publish(claim, 0));
    }
    if (order == "release") {  // the first half of keep()
      share.kept.release(*claim.kept, std::numeric_limits<std::int64_t>::max(), false);
      return "done";
    }
    if (order == "answer") {
      send_text(claim.descriptor, "answer");
      return "done";
    }
    if (order == "keep" || order == "keep fresh") {
      ready.keep(claim, order == "keep fresh");
      return "done";
    }
    if (order == "put back") {
      return yes(ready.put_back(claim, 0));
    }
    if (order == "drop") {
      ready.drop(claim);
      return "done";
    }
    if (order == "read mail") {
      ready.read_mail();
      return "done";
    }
    if (order == "give back") {
      ready.give_back_idle(0);
      return "done";
    }
    if (order == "any idle") {
      return yes(ready.any_idle());
    }
    if (order == "drop idle") {
      ready.drop_idle(0);
      return "done";
    }
    if (order == "open many") {  // more than there are numbers below the range
      bool above = false;
      for (int number = 0; number >= 0 && !above;) {
        number = dup(share.epoll.get());
        above = number > share.kept.numbers().base + share.kept.capacity();
        if (!above && number >= share.kept.numbers().base) {
          return "no";
        }
      }
      return yes(above);
    }
    if (order == "write to all numbers") {
      bool any = false;
      for (std::uint32_t slot = 0; slot < static_cast<std::uint32_t>(share.kept.capacity());
           ++slot) {
        any |= write(share.kept.descriptor(slot), "x", 1) == 1;
      }
      return yes(any);
    }
    if (order == "count") {
      return std::to_string(open_descriptors(share.kept));
    }
    return "no such order";
  }

  SocketPair orders_;
  Child child_;
};

class DispatchTest : public ::testing::Test {
 protected:
  void make(int capacity) {
    kept_connections_ = std::make_unique<KeptConnections>(
        std::vector{listener_.descriptor()}, KeptNumbers{kBase, capacity}, kSeats, sink_);
  }

  DispatchShare& share() { return kept_connections_->share(); }
  KeptTable& kept() { return share().kept; }

  StepWorker& start(int seat) {
    kept_connections_->admit(seat);
    workers_.at(static_cast<std::size_t>(seat)) =
        std::make_unique<StepWorker>(share(), seat, keepalive_, silence_);
    return worker(seat);
  }
  StepWorker& worker(int seat) { return *workers_.at(static_cast<std::size_t>(seat)); }

  // For a worker that may lack the connection: the master's loop runs meanwhile.
  std::string next_with_the_masters_help(int seat) {
    worker(seat).begin("next");
    EXPECT_TRUE(run_until([&] { return worker(seat).has_answered(); }));
    return worker(seat).answer();
  }

  void kill(int seat) {
    worker(seat).kill();
    kept_connections_->dismiss(seat);
  }

  // A connection that worker `seat` has answered one request of and published.
  Descriptor kept_by(int seat) {
    Descriptor client = listener_.connect();
    send_text(client.get(), "first");
    EXPECT_EQ(worker(seat).next(), "first");
    EXPECT_EQ(worker(seat).ask("publish"), "yes");
    worker(seat).ask("answer");
    EXPECT_EQ(receive_text(client.get()), "answer");
    worker(seat).ask("keep");
    return client;
  }

  // The master's duplicates.
  int held() {
    kept_connections_->read_mail();
    return kept_connections_->held();
  }

  // How many slots this one holds.
  int slots_of(std::uint32_t holder) {
    int count = 0;
    for (std::uint32_t slot = 0; slot < static_cast<std::uint32_t>(kept().capacity()); ++slot) {
      count += kept().holder(slot) == holder ? 1 : 0;
    }
    return count;
  }
  bool all_free() { return slots_of(KeptTable::kFree) == kept().capacity(); }

  // As the master's loop does, until `condition` holds.
  template <typename Condition>
  bool run_until(Condition condition) {
    return wait_until([&] {
      kept_connections_->read_mail();
      kept_connections_->act_on_deadlines();
      return condition();
    });
  }

  log::Sink sink_{"stderr", log::Format::json};
  TestListener listener_;
  std::chrono::milliseconds keepalive_ = 1h;
  std::chrono::milliseconds silence_ = 1h;
  std::unique_ptr<KeptConnections> kept_connections_ = std::make_unique<KeptConnections>(
      std::vector{listener_.descriptor()}, KeptNumbers{kBase, 8}, kSeats, sink_);
  std::array<std::unique_ptr<StepWorker>, kSeats + 1> workers_;
};

}  // namespace forktail::server
