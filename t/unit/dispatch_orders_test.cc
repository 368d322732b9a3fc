// Each test runs in a child: the handlers and their notes are one set a process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "server/dispatch/bell.h"
#include "server/dispatch/orders.h"
#include "server_support.h"

namespace forktail::server::orders {
namespace {

// Waits at an epoll instance that has nothing to tell but the bell, as a worker does. This process
// is the master as well, whose loop is `mastership`.
class Waiters {
 public:
  explicit Waiters(int threads) : asleep_(static_cast<std::size_t>(threads)) {
    install_signals();
    obey(place_, channel_.second);
    for (SharedFlag& asleep : asleep_) {
      threads_.emplace_back([this, &asleep] {
        BusyPoll poll;
        while (!pending(kLeave)) {
          epoll_event event{};
          wait(epoll_.get(), event, poll, asleep);
          if (take(kReopen)) {
            ++taken_;
          }
        }
      });
    }
    mastership_ = std::thread([this] {
      while (!over_) {
        bell_.attend(Bell::Clock::now(), needed());
        const auto next = bell_.next_deadline(Bell::Clock::now(), needed());
        pollfd watched{channel_.first.descriptor(), POLLIN, 0};
        poll(&watched, 1, next ? 1 : 10'000);
        for (bool ended = false; channel_.first.receive(ended);) {
        }
      }
    });
    wait_until([this] {
      return std::ranges::all_of(asleep_, [](const auto& asleep) { return asleep.load(); });
    });
  }
  ~Waiters() {
    for (std::thread& thread : threads_) {
      thread.join();
    }
    over_ = true;
    channel_.second.send({MessageType::ordered});
    mastership_.join();
  }

  [[nodiscard]] int taken() const { return taken_; }
  // What the master does to give an order.
  void order(Order what) {
    place_.fetch_or(what);
    channel_.second.send({MessageType::ordered});
  }

 private:
  [[nodiscard]] bool needed() const {
    return (place_ & kAll) != 0 &&
           std::ranges::any_of(asleep_, [](const auto& asleep) { return asleep.load(); });
  }

  std::pair<Channel, Channel> channel_ = Channel::make();
  std::atomic<std::uint32_t> place_ = 0;
  Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  Bell bell_{epoll_.get()};
  std::atomic<int> taken_ = 0;
  std::vector<SharedFlag> asleep_;
  std::vector<std::thread> threads_;
  std::atomic<bool> over_ = false;
  std::thread mastership_;
};

TEST(Orders, ASignalIsNeverMissedWhateverTheThreadIsJustDoing) {
  Child child([] {
    Waiters waiters(1);
    for (int i = 1; i <= 5000; ++i) {
      kill(getpid(), SIGUSR1);
      if (!wait_until([&] { return waiters.taken() >= i; })) {
        return 1;
      }
    }
    kill(getpid(), SIGTERM);
    return 0;
  });
  EXPECT_EQ(child.join(), 0);
}

TEST(Orders, LeavingReachesEveryThread) {
  Child child([] {
    Waiters waiters(8);
    kill(getpid(), SIGTERM);
    return 0;  // when all have been joined
  });
  EXPECT_EQ(child.join(), 0);
}

// A thread that is woken after another has acted on the note must not take it for news.
TEST(Orders, ASignalIsNewsOnceHoweverManyThreadsItWakes) {
  constexpr int kThreads = 4;
  constexpr int kSignals = 200;
  Child child([] {
    Waiters waiters(kThreads);
    for (int i = 1; i <= kSignals; ++i) {
      kill(getpid(), SIGUSR1);
      if (!wait_until([&] { return waiters.taken() >= i; })) {
        return 1;
      }
    }
    kill(getpid(), SIGTERM);
    return waiters.taken() == kSignals ? 0 : 2;
  });
  EXPECT_EQ(child.join(), 0);
}

// A signal would make what the application waits for return early.
TEST(Orders, TheMastersReachEveryThreadWithoutASignal) {
  Child child([] {
    Waiters waiters(4);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    for (int number = 1; number < NSIG; ++number) {
      ::signal(number, SIG_IGN);
    }
    for (int i = 1; i <= 200; ++i) {
      waiters.order(kReopen);
      if (!wait_until([&] { return waiters.taken() >= i; })) {
        return 1;
      }
    }
    waiters.order(kLeave);
    return 0;  // when all have been joined
  });
  EXPECT_EQ(child.join(), 0);
}

TEST(Orders, TheMastersAreNeverMissedWhateverTheThreadIsJustDoing) {
  Child child([] {
    Waiters waiters(1);
    for (int i = 1; i <= 2000; ++i) {
      waiters.order(kReopen);
      if (!wait_until([&] { return waiters.taken() >= i; })) {
        return 1;
      }
    }
    waiters.order(kLeave);
    return 0;
  });
  EXPECT_EQ(child.join(), 0);
}

TEST(Orders, OfSomebodyWithoutMeaningAreNone) {
  Child child([] {
    std::atomic<std::uint32_t> place = 0xfffffff0;
    const auto channel = Channel::make();
    install_signals();
    obey(place, channel.second);
    return pending(kLeave) || pending(kReopen) || take(kReopen) ? 1 : 0;
  });
  EXPECT_EQ(child.join(), 0);
}

TEST(Orders, WhatATerminalSendsToAllIsTheMastersBusiness) {
  Child child([] {
    Waiters waiters(1);
    raise(SIGINT);
    raise(SIGHUP);
    const bool left = pending(kLeave);
    kill(getpid(), SIGTERM);
    return left ? 1 : 0;
  });
  EXPECT_EQ(child.join(), 0);
}

TEST(Orders, LeaveErrnoAlone) {
  Child child([] {
    install_signals();
    errno = EPIPE;
    raise(SIGUSR1);
    return errno == EPIPE && take(kReopen) && !take(kReopen) ? 0 : 1;
  });
  EXPECT_EQ(child.join(), 0);
}

}  // namespace
}  // namespace forktail::server::orders
