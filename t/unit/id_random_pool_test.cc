#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "id/random_pool.h"

namespace {

using forktail::id::RandomPool;
using Bytes = std::array<unsigned char, 16>;

class RandomPoolFence : public testing::TestWithParam<RandomPool::Fence> {};

// Parent and child take the next bytes of what was one batch.
TEST_P(RandomPoolFence, KeepsABatchInsideOneProcess) {
  RandomPool pool(GetParam());
  Bytes first{};
  ASSERT_TRUE(pool.take(first.data(), first.size()));

  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    Bytes childs{};
    const bool sent = pool.take(childs.data(), childs.size()) &&
                      write(ends[1], childs.data(), childs.size()) == ssize_t{sizeof(childs)};
    _exit(sent ? 0 : 1);
  }
  close(ends[1]);
  Bytes childs{};
  EXPECT_EQ(read(ends[0], childs.data(), childs.size()), ssize_t{sizeof(childs)});
  close(ends[0]);
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);

  Bytes parents{};
  ASSERT_TRUE(pool.take(parents.data(), parents.size()));
  EXPECT_NE(parents, childs);
}

INSTANTIATE_TEST_SUITE_P(Both, RandomPoolFence,
                         testing::Values(RandomPool::Fence::best, RandomPool::Fence::pid));

}  // namespace
