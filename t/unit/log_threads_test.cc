// Whose line it is when a hundred requests log at once. Worth its time under the thread sanitizer.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "forktail/context.h"
#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

constexpr int kRequests = 100;

class ThreadPool {
 public:
  ThreadPool() {
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this] { run(); });
    }
  }
  ~ThreadPool() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void add(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) {
        return;
      }
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

void handle(const Context& context, ThreadPool& pool) {
  const Scope scope(context);
  const std::string id(context.id());
  spdlog::info("{} handler", id);
  std::thread([context, id] {
    const Scope carried(context);
    spdlog::info("{} own thread", id);
  }).join();
  pool.add([context, id] {
    const Scope carried(context);
    spdlog::info("{} pool", id);
  });
  spdlog::info("{} handler again", id);
}

TEST(LogThreads, LinesBearTheIdOfTheRequestThatTheirThreadWorksFor) {
  const TemporaryDirectory directory;
  const std::string path = directory / "forktail.log";
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("", std::make_shared<Sink>(path, Format::json)));
  {
    ThreadPool pool;
    std::vector<std::thread> requests;
    for (int i = 0; i < kRequests; ++i) {
      requests.emplace_back([i, &pool] {
        handle({"request-" + std::to_string(i), {}, {}, Context::Clock::time_point::max()}, pool);
      });
    }
    for (std::thread& request : requests) {
      request.join();
    }
  }
  spdlog::set_default_logger(before);

  std::map<std::string, int> lines;
  for (const Json& line : json_lines_of(path)) {
    const auto message = line["msg"].get<std::string>();
    const auto id = line["request_id"].get<std::string>();
    EXPECT_TRUE(message.starts_with(id + ' ')) << id << " on: " << message;
    ++lines[id];
  }
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(kRequests));
  for (const auto& [id, count] : lines) {
    EXPECT_EQ(count, 4) << id;
  }
}

}  // namespace
}  // namespace forktail::log
