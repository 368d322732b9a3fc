// Every line bears the id of its request, whichever thread it comes from.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "forktail/app.h"
#include "log_support.h"
#include "server/dispatch/kept_connections.h"
#include "server/request/request_loop.h"
#include "server_support.h"

namespace forktail::server {
namespace {

constexpr int kRequests = 100;
constexpr int kThreads = 100;  // so that all requests are handled at once

// As an application has one: its threads live longer than any request.
class Pool {
 public:
  explicit Pool(int size) {
    for (int i = 0; i < size; ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }
  ~Pool() {
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      run({});
    }
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void run(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    more_.notify_one();
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      more_.wait(lock, [this] { return !tasks_.empty(); });
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      if (!task) {
        return;
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
};

// Logs from three kinds of threads, once all requests are there.
class LoggingApp : public App {
 public:
  Response handle(const Request& request, Context& context) override {
    wait_for_the_others();
    const std::string path(request.path());
    spdlog::info("handler {}", path);
    std::thread([&context, &path] {
      const Scope scope(context);
      spdlog::info("thread {}", path);
    }).join();
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> is_done = done->get_future();
    pool_.run([context, path, done] {
      {
        const Scope scope(context);
        spdlog::info("task {}", path);
      }
      EXPECT_EQ(current(), nullptr);
      done->set_value();
    });
    is_done.wait();
    spdlog::info("end {}", path);
    return {200, "text/plain", std::string(context.id())};
  }

 private:
  void wait_for_the_others() {
    std::unique_lock lock(mutex_);
    ++here_;
    all_here_.notify_all();
    all_here_.wait(lock, [this] { return here_ >= kRequests; });
  }

  Pool pool_{4};
  std::mutex mutex_;
  std::condition_variable all_here_;
  int here_ = 0;
};

std::string ask(TestListener& listener, const std::string& id, const std::string& path) {
  const Descriptor client = listener.connect();
  std::string data;
  for (const std::string& text : {std::string("REQUEST_METHOD"), std::string("GET"),
                                  std::string("PATH_INFO"), path, std::string("REQUEST_ID"), id}) {
    data += static_cast<char>(text.size());
    data += '\0';
    data += text;
  }
  const std::string header{'\0', static_cast<char>(data.size()), '\0', '\0'};
  send_text(client.get(), header + data);
  std::string answer;
  for (std::string more; more != "(end)"; more = receive_text(client.get(), 60s)) {
    if (more == "(nothing)") {
      return "no answer";
    }
    answer += more;
  }
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

TEST(Threads, LogUnderTheIdOfTheirRequest) {
  const log::TemporaryDirectory directory;
  const auto sink = std::make_shared<log::Sink>(directory / "log", log::Format::json);
  const auto old_logger = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));

  Options options;
  options.threads = kThreads;
  const Worker worker{1, 1, kThreads, ForkMode::preload};
  TestListener listener;
  KeptConnections kept_connections({listener.descriptor()}, {600, 16}, 1, *sink);
  Slots slots(1, kThreads);
  ReadyList ready(kept_connections.share(), 1, options.keepalive_timeout, options.socket_timeout,
                  *sink);
  LoggingApp app;
  std::atomic<bool> over = false;
  std::vector<std::thread> servers;
  for (int i = 0; i < kThreads; ++i) {
    servers.emplace_back([&, i] {
      RequestLoop loop(app, options, worker, ready, *sink, slots.slot(1, i), slots.board(), i);
      while (!over) {
        loop.serve_within(10ms);
      }
    });
  }

  std::map<std::string, std::string> path_of;
  std::vector<std::thread> clients;
  for (int i = 0; i < kRequests; ++i) {
    const std::string id = fmt::format("request-{:03}", i);
    const std::string path = path_of[id] = fmt::format("/{}", 997 * i);
    clients.emplace_back([&listener, id, path] { EXPECT_EQ(ask(listener, id, path), id); });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  over = true;
  for (std::thread& server : servers) {
    server.join();
  }
  spdlog::set_default_logger(old_logger);

  std::map<std::string, std::vector<std::string>> said;
  for (const log::Json& line : log::json_lines_of(directory / "log")) {
    said[line.at("request_id")].push_back(line.at("msg"));
  }
  EXPECT_EQ(said.size(), path_of.size());
  for (const auto& [id, path] : path_of) {
    EXPECT_EQ(said[id],
              (std::vector<std::string>{"handler " + path, "thread " + path, "task " + path,
                                        "end " + path, "GET " + path + " 200"}))
        << id;
  }
}

}  // namespace
}  // namespace forktail::server
