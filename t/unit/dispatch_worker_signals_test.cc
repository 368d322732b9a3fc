// Each test runs in a child: the handlers and their notes are one set a process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "server/dispatch/worker_signals.h"
#include "server_support.h"

namespace forktail::server::worker_signals {
namespace {

// Waits at an epoll instance that never has anything to tell.
class Waiters {
 public:
  explicit Waiters(int threads) {
    install();
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, i] {
        while (joined_ != i) {
          std::this_thread::yield();
        }
        join();
        ++joined_;
        BusyPoll poll;
        while (!pending(kLeave)) {
          epoll_event event{};
          wait(epoll_.get(), event, poll);
          if (take(kReopen)) {
            ++taken_;
          }
        }
      });
    }
    wait_until([&] { return joined_ == threads; });
  }
  ~Waiters() {
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

  [[nodiscard]] int taken() const { return taken_; }

 private:
  Descriptor epoll_{epoll_create1(EPOLL_CLOEXEC)};
  std::atomic<int> joined_ = 0;
  std::atomic<int> taken_ = 0;
  std::vector<std::thread> threads_;
};

TEST(WorkerSignals, ASignalIsNeverMissedWhateverTheThreadIsJustDoing) {
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

TEST(WorkerSignals, LeavingReachesEveryThread) {
  Child child([] {
    Waiters waiters(8);
    kill(getpid(), SIGTERM);
    return 0;  // when all have been joined
  });
  EXPECT_EQ(child.join(), 0);
}

// A thread that is woken after another has acted on the note must not take it for news.
TEST(WorkerSignals, ASignalIsNewsOnceHoweverManyThreadsItWakes) {
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

TEST(WorkerSignals, WhatATerminalSendsToAllIsTheMastersBusiness) {
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

TEST(WorkerSignals, LeaveErrnoAlone) {
  Child child([] {
    install();
    join();
    errno = EPIPE;
    raise(SIGUSR1);
    return errno == EPIPE && take(kReopen) && !take(kReopen) ? 0 : 1;
  });
  EXPECT_EQ(child.join(), 0);
}

}  // namespace
}  // namespace forktail::server::worker_signals
