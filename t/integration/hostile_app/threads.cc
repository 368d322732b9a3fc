// Threads that nobody waits for.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <system_error>
#include <thread>

#include "hostile.h"

namespace hostile {

namespace {

constexpr Misbehaviour kTable[] = {
    {"/threads/stay", Harm::lasts, "starts a thread that never ends",
     [](const Parameters&) {
       std::thread([] {
         for (;;) {
           pause();
         }
       }).detach();
       return done();
     }},
    {"/threads/log", Harm::lasts, "starts a thread that logs for `ms` (200) milliseconds",
     [](const Parameters& given) {
       const auto end =
           std::chrono::steady_clock::now() + std::chrono::milliseconds(number(given, "ms", 200));
       std::thread([end] {
         while (std::chrono::steady_clock::now() < end) {
           spdlog::info("from a thread of its own");
           std::this_thread::sleep_for(std::chrono::milliseconds(1));
         }
       }).detach();
       return done();
     }},
    {"/threads/many", Harm::none, "starts `count` (64) threads at once and waits for them",
     [](const Parameters& given) {
       const auto gate = std::make_shared<std::atomic<long>>(0);
       long started = 0;
       try {
         for (; started < number(given, "count", 64); ++started) {
           std::thread([gate] {
             gate->wait(0);
             gate->fetch_add(1);
           }).detach();
         }
       } catch (const std::system_error&) {
         // no more are to be had
       }
       *gate = 1;
       gate->notify_all();
       while (*gate < 1 + started) {
         std::this_thread::yield();
       }
       return done(std::to_string(started) + "\n");
     }},
    {"/threads/dying", Harm::ends, "answers; a moment later a thread of its own crashes",
     [](const Parameters& given) {
       const std::chrono::milliseconds pause(number(given, "ms", 20));
       std::thread([pause] {
         std::this_thread::sleep_for(pause);
         volatile int* null = nullptr;
         *null = 1;
       }).detach();
       return done();
     }},
};

}  // namespace

std::span<const Misbehaviour> threads() { return kTable; }

}  // namespace hostile
