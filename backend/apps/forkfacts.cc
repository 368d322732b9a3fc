// The experiment behind forktail: what is the same, and what differs, in workers that were forked
// from one loaded process?
//
//   GET /              all facts as JSON, and in several log lines with a little time between them
//   GET /sleep?ms=N    answers after N milliseconds
//   GET /throw         throws
//   GET /crash         dies by SIGSEGV
//   GET /die           dies by SIGKILL, as under the OOM killer
//   POST /echo         the body, as it came
#include <forktail/app.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using Json = nlohmann::ordered_json;

// Every load in this process's ancestry and in itself counts here: 1 where nothing was loaded
// twice.
int loads = 0;

std::string address(const void* pointer) {
  return fmt::format("{:#x}", reinterpret_cast<std::uintptr_t>(pointer));
}

std::string thread_name() {
  std::array<char, 16> name{};
  prctl(PR_GET_NAME, name.data());
  return name.data();
}

// "NAME VALUE NAME VALUE ..." of these facts, for a log line.
std::string in_words(const Json& facts, std::initializer_list<const char*> names) {
  std::string words;
  for (const char* name : names) {
    const Json& value = facts.at(name);
    words += fmt::format("{}{} {}", words.empty() ? "" : " ", name,
                         value.is_string() ? value.get<std::string>() : value.dump());
  }
  return words;
}

class ForkFacts : public forktail::App {
 public:
  // The generator's seed is random: what forked workers draw alike, the fork has duplicated.
  ForkFacts()
      : made_at_load_(std::make_unique<int>(1)),
        random_(std::random_device{}()),
        load_pid_(getpid()) {
    ++loads;
    spdlog::info("loaded in pid {}", load_pid_);
  }

  void on_worker_start(const forktail::Worker&) override {
    made_in_worker_ = std::make_unique<int>(2);
  }

  forktail::Response handle(const forktail::Request& request, forktail::Context& context) override {
    if (request.path() == "/sleep") {
      return sleep(request);
    }
    if (request.path() == "/throw") {
      throw std::runtime_error("asked to throw");
    }
    if (request.path() == "/crash") {
      raise(SIGSEGV);
    }
    if (request.path() == "/die") {
      raise(SIGKILL);
    }
    if (request.path() == "/echo") {
      return {200, "application/octet-stream", std::string(request.body())};
    }
    return facts(context);
  }

 private:
  forktail::Response facts(forktail::Context& context) {
    const auto pause = [] { std::this_thread::sleep_for(std::chrono::microseconds(100)); };
    Json facts = facts_of_this_thread(context);
    spdlog::info("begin {}", in_words(facts, {"pid", "tid", "pthread_self", "thread_name", "loads",
                                              "load_pid"}));
    pause();
    spdlog::info(in_words(facts, {"counter", "random", "address_static", "address_heap_load",
                                  "address_heap_worker"}));
    pause();
    facts["thread"] = facts_of_a_new_thread(context);
    spdlog::info("end");
    return {200, "application/json", facts.dump(2) + "\n"};
  }

  Json facts_of_this_thread(const forktail::Context& context) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return {
        {"request_id", std::string(context.id())},
        {"worker", context.worker().id},
        {"generation", context.worker().generation},
        {"fork_mode", std::string(forktail::to_string(context.worker().mode))},
        {"pid", getpid()},
        {"tid", gettid()},
        {"pthread_self", pthread_self()},
        {"thread_name", thread_name()},
        {"address_static", address(&loads)},
        {"address_heap_load", address(made_at_load_.get())},
        {"address_heap_worker", address(made_in_worker_.get())},
        {"loads", loads},
        {"load_pid", load_pid_},
        {"counter", ++counter_},
        {"random", static_cast<std::uint32_t>(random_())},
    };
  }

  // The same as seen from a thread that is started for this request.
  Json facts_of_a_new_thread(const forktail::Context& context) {
    Json facts;
    std::thread thread([&] {
      const forktail::Scope scope(context);
      const int on_its_stack = 0;
      facts = facts_of_this_thread(context);
      facts["address_stack"] = address(&on_its_stack);
      spdlog::info("in a thread {}",
                   in_words(facts, {"tid", "pthread_self", "thread_name", "counter", "random",
                                    "address_static", "address_heap_load", "address_heap_worker",
                                    "address_stack"}));
    });
    thread.join();
    return facts;
  }

  static forktail::Response sleep(const forktail::Request& request) {
    const std::string text = request.query("ms").value_or("1000");
    unsigned ms = 0;
    std::from_chars(text.data(), text.data() + text.size(), ms);
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    return {200, "text/plain", fmt::format("slept {} ms\n", ms)};
  }

  std::unique_ptr<int> made_at_load_;
  std::unique_ptr<int> made_in_worker_;
  std::mt19937 random_;
  pid_t load_pid_;
  int counter_ = 0;
  std::mutex mutex_;  // for `threads` above 1
};

}  // namespace

FORKTAIL_APP(ForkFacts)
