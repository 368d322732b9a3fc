// What an application declares, and makes, for each process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "forktail/fork_safe.h"
#include "forktail/per_worker.h"

namespace forktail {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;

// The exit status of a forked process that runs `body`.
template <typename Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(PerWorker, IsMadeOnFirstUse) {
  int made = 0;
  per_worker<int> value([&] { return ++made; });
  EXPECT_EQ(made, 0);
  EXPECT_EQ(*value, 1);
  EXPECT_EQ(*value, 1);
  EXPECT_EQ(made, 1);
}

TEST(PerWorker, IsMadeAnewInAForkedProcess) {
  per_worker<pid_t> value([] { return getpid(); });
  EXPECT_EQ(*value, getpid());
  EXPECT_EQ(in_child([&] { return *value == getpid() ? 0 : 1; }), 0);
  EXPECT_EQ(*value, getpid());
}

TEST(PerWorker, LeavesTheParentsValueAlone) {
  struct Counted {
    explicit Counted(int& count) : ended(count) {}
    ~Counted() { ++ended; }
    int& ended;
  };
  int ended = 0;
  {
    per_worker<Counted> value([&] { return Counted(ended); });
    EXPECT_EQ(&value->ended, &ended);
    EXPECT_EQ(in_child([&] { return (*value).ended; }), 0);
  }
  EXPECT_EQ(ended, 1);
}

TEST(PerWorker, IsMadeOnceByManyThreads) {
  std::atomic<int> made = 0;
  per_worker<int> value([&] { return ++made; });
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(*value, 1); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(made, 1);
}

TEST(PerWorker, TriesAgainAfterItsFactoryThrew) {
  int tries = 0;
  per_worker<int> value([&] {
    if (++tries == 1) {
      throw std::runtime_error("not yet");
    }
    return tries;
  });
  EXPECT_THROW(*value, std::runtime_error);
  EXPECT_EQ(*value, 2);
}

TEST(ForkSafe, KeepsDeclarationsInOrderAndOverAFork) {
  EXPECT_EQ(in_child([] {
              fork_safe("socket 10.0.0.7:5432", "read only");
              fork_safe("thread metrics", "restarted in on_worker_start");
              fork_safe("socket 10.0.0.7:5432", "one query at load");
              return in_child([] {
                EXPECT_THAT(
                    fork_safe_declarations(),
                    ElementsAre(FieldsAre("socket 10.0.0.7:5432", "one query at load"),
                                FieldsAre("thread metrics", "restarted in on_worker_start")));
                return testing::Test::HasFailure() ? 1 : 0;
              });
            }),
            0);
  EXPECT_TRUE(fork_safe_declarations().empty());
}

TEST(ForkSafe, WantsANameAndAReason) {
  EXPECT_THROW(fork_safe("", "why"), std::invalid_argument);
  EXPECT_THROW(fork_safe("name", ""), std::invalid_argument);
}

}  // namespace
}  // namespace forktail
