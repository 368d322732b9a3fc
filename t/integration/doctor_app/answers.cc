// What answers show of state that a fork duplicates: one fixture each, named by FIXTURE.
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <thread>

#include "fixture.h"

namespace {

[[maybe_unused]] std::string counter() {
  static int requests = 0;
  return "request " + std::to_string(++requests) + "\n";
}

std::mt19937_64 generator(std::random_device{}());

[[maybe_unused]] std::string token() { return "token=" + std::to_string(generator()) + "\n"; }

[[maybe_unused]] std::string load_time() {
  static const auto loaded = std::chrono::system_clock::now().time_since_epoch();
  return "since " + std::to_string(std::chrono::duration<double>(loaded).count()) + "\n";
}

[[maybe_unused]] std::string address() {
  char text[32];
  snprintf(text, sizeof(text), "%p", static_cast<void*>(&generator));
  return std::string("context ") + text + "\n";
}

[[maybe_unused]] std::string load_value() {
  static const std::string loader = std::to_string(getpid());
  // Above 3e9: a smaller one may be taken for a time.
  static const auto secret = std::random_device{}() | 0xc0000000U;
  return "loaded by " + loader + " with secret " + std::to_string(secret) + " version 2.1.0\n";
}

const std::string kAtLoad = load_time() + load_value();

[[maybe_unused]] std::string self() {
  return "thread " + std::to_string(static_cast<std::uint64_t>(pthread_self())) + "\n";
}

}  // namespace

std::string fixture::answer() { return FIXTURE(); }
