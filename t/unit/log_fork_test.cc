// What a child inherits.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

class LogFork : public LogTest {};

TEST_F(LogFork, BearsTheIdsOfTheChildThoughTheParentHasLoggedBefore) {
  Sink sink(path_, Format::json);
  sink.write(EventKind::request, "", "the parent's");
  const pid_t child = fork();
  if (child == 0) {
    sink.write(EventKind::request, "", "the child's");
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["pid"], getpid());
  EXPECT_EQ(lines[1]["pid"], child);
  EXPECT_EQ(lines[1]["tid"], child);
}

// Stays in write() until it is released.
class StuckSystem : public System {
 public:
  ssize_t write(int descriptor, const void* bytes, std::size_t size) override {
    std::unique_lock lock(mutex_);
    if (stick) {
      stuck_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !stuck_; });
    }
    return System::write(descriptor, bytes, size);
  }
  void wait_until_stuck() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stuck_; });
  }
  void release() {
    const std::lock_guard lock(mutex_);
    stick = stuck_ = false;
    changed_.notify_all();
  }
  bool stick = true;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stuck_ = false;
};

// By the server, which says who it is, or by the application, which does not.
class LogForkBy : public LogFork, public ::testing::WithParamInterface<bool> {};

TEST_P(LogForkBy, IsUsableInAChildThatWasForkedWhileAnotherThreadWrote) {
  StuckSystem system;
  Sink sink(path_, Format::json, system);
  std::thread writer([&] { sink.write(EventKind::request, "", "the parent's"); });
  system.wait_until_stuck();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // the limit, should the lock be held for ever
    system.stick = false;
    if (GetParam()) {
      sink.set_identity({1, 1});
    }
    sink.write(EventKind::request, "", "the child's");
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  system.release();
  writer.join();

  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["msg"], "the child's");
  EXPECT_EQ(lines[1]["msg"], "the parent's");
}

INSTANTIATE_TEST_SUITE_P(TheServerOrTheApplication, LogForkBy, ::testing::Bool());

}  // namespace
}  // namespace forktail::log
