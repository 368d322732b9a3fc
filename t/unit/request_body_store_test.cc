#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>

#include "log_support.h"
#include "server/request/body_store.h"

namespace forktail::server {
namespace {

class BodyStoreTest : public testing::Test {
 protected:
  BodyStore store(std::uint64_t memory_limit) { return {memory_limit, folder_}; }

  log::TemporaryDirectory directory_;
  const std::string folder_ = directory_ / ".";
};

// Feeds `bytes` as a socket would, at most `piece` at a time.
void feed(BodyStore& store, std::string_view bytes, std::size_t piece = 1 << 20) {
  while (!bytes.empty() && !store.complete()) {
    const std::span<char> room = store.room();
    ASSERT_FALSE(room.empty());
    const std::size_t size = bytes.copy(room.data(), std::min(room.size(), piece));
    bytes.remove_prefix(size);
    ASSERT_TRUE(store.add(size));
  }
}

std::string pattern(std::size_t size) {
  std::string bytes(size, ' ');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(i * 31 + i / 251);
  }
  return bytes;
}

TEST_F(BodyStoreTest, KeepsASmallBodyInMemory) {
  BodyStore body = store(10);
  ASSERT_TRUE(body.begin(10, "01234"));
  EXPECT_EQ(body.received(), 5U);
  feed(body, "56789", 2);
  EXPECT_TRUE(body.complete());
  EXPECT_FALSE(body.surplus());
  EXPECT_EQ(body.view(), "0123456789");
  EXPECT_EQ(body.file(), -1);
}

TEST_F(BodyStoreTest, SpoolsALargerBodyToAFileWithoutAName) {
  const std::string bytes = pattern(300000);
  BodyStore body = store(299999);
  ASSERT_TRUE(body.begin(bytes.size(), std::string_view(bytes).substr(0, 1000)));
  feed(body, std::string_view(bytes).substr(1000));
  EXPECT_TRUE(body.complete());
  EXPECT_EQ(body.view(), bytes);
  ASSERT_GE(body.file(), 0);
  struct stat info {};
  ASSERT_EQ(fstat(body.file(), &info), 0);
  EXPECT_EQ(info.st_nlink, 0U);
  EXPECT_EQ(static_cast<std::size_t>(info.st_size), bytes.size());
  EXPECT_EQ(fcntl(body.file(), F_GETFD), FD_CLOEXEC);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(BodyStoreTest, GivesTheFileBack) {
  BodyStore body = store(0);
  ASSERT_TRUE(body.begin(3, "abc"));
  const int file = body.file();
  EXPECT_EQ(body.view(), "abc");
  body.release();
  EXPECT_EQ(fcntl(file, F_GETFD), -1);
  ASSERT_TRUE(body.begin(0, ""));
  EXPECT_EQ(body.file(), -1);
  EXPECT_EQ(body.view(), "");
}

TEST_F(BodyStoreTest, NoticesWhatFollowsTheBody) {
  for (const std::uint64_t memory_limit : {0U, 100U}) {
    BodyStore body = store(memory_limit);
    ASSERT_TRUE(body.begin(3, "abcX"));
    EXPECT_TRUE(body.surplus());
    EXPECT_EQ(body.view(), "abc");

    ASSERT_TRUE(body.begin(3, "ab"));
    EXPECT_FALSE(body.surplus());
    feed(body, "cX");
    EXPECT_TRUE(body.surplus());
    EXPECT_EQ(body.view(), "abc");

    ASSERT_TRUE(body.begin(0, "X"));
    EXPECT_TRUE(body.surplus());
    EXPECT_EQ(body.view(), "");
  }
}

TEST_F(BodyStoreTest, TakesOneBodyAfterTheOther) {
  BodyStore body = store(100);
  for (const std::size_t size : {50U, 200000U, 1U, 0U, 100U, 101U}) {
    const std::string bytes = pattern(size);
    ASSERT_TRUE(body.begin(size, ""));
    feed(body, bytes, 70000);
    EXPECT_TRUE(body.complete());
    EXPECT_EQ(body.view(), bytes);
    EXPECT_EQ(body.file() >= 0, size > 100);
  }
}

TEST_F(BodyStoreTest, TakesNoMoreMemoryThanHasCome) {
  BodyStore body = store(1U << 30);
  ASSERT_TRUE(body.begin(1U << 30, "a few bytes"));
  EXPECT_LE(body.room().size(), 1U << 20);
}

TEST_F(BodyStoreTest, FailsWhereThereIsNoSuchFolder) {
  BodyStore body(0, folder_ + "/missing");
  EXPECT_FALSE(body.begin(1, ""));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_TRUE(body.begin(0, ""));
}

TEST_F(BodyStoreTest, FailsWhenTheFileTakesNoMore) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small = old;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  BodyStore body = store(0);
  EXPECT_TRUE(body.begin(2000, pattern(900)));
  const std::size_t size = pattern(500).copy(body.room().data(), 500);
  EXPECT_FALSE(body.add(size));
  EXPECT_EQ(errno, EFBIG);
  EXPECT_FALSE(body.begin(2000, pattern(1500)));
  setrlimit(RLIMIT_FSIZE, &old);
}

}  // namespace
}  // namespace forktail::server
