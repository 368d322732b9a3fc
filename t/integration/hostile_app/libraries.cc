// State of libraries that the server uses as well. Its log must not depend on any of it.
#include <pthread.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "hostile.h"

namespace hostile {

namespace {

class ThrowingSink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg&) override { throw std::runtime_error("no room"); }
  void flush_() override { throw std::runtime_error("no room"); }
};

std::shared_ptr<spdlog::logger> logger_to_nowhere(spdlog::sink_ptr sink) {
  return std::make_shared<spdlog::logger>("hostile", std::move(sink));
}

void note_exit() {
  static_cast<void>(write(STDERR_FILENO, "hostile: an atexit handler has run\n", 35));
}

constexpr Misbehaviour kTable[] = {
    {"/spdlog/shutdown", Harm::lasts, "spdlog::shutdown()",
     [](const Parameters&) {
       spdlog::shutdown();
       return done();
     }},
    {"/spdlog/drop-all", Harm::lasts, "spdlog::drop_all()",
     [](const Parameters&) {
       spdlog::drop_all();
       return done();
     }},
    {"/spdlog/no-default", Harm::lasts, "spdlog::set_default_logger(nullptr)",
     [](const Parameters&) {
       spdlog::set_default_logger(nullptr);
       return done();
     }},
    {"/spdlog/other-default", Harm::lasts, "makes a logger to standard output the default",
     [](const Parameters&) {
       spdlog::set_default_logger(
           logger_to_nowhere(std::make_shared<spdlog::sinks::stdout_sink_mt>()));
       return done();
     }},
    {"/spdlog/throwing-sink", Harm::lasts,
     "adds a sink that throws, and an error handler that does",
     [](const Parameters&) {
       if (auto* logger = spdlog::default_logger_raw()) {
         logger->sinks().push_back(std::make_shared<ThrowingSink>());
         logger->set_error_handler(
             [](const std::string& text) { throw std::runtime_error("handled: " + text); });
       }
       return done();
     }},
    {"/spdlog/no-sinks", Harm::lasts, "takes all sinks from the default logger",
     [](const Parameters&) {
       if (auto* logger = spdlog::default_logger_raw()) {
         logger->sinks().clear();
       }
       return done();
     }},
    {"/spdlog/off", Harm::lasts, "turns all levels off, of all loggers and their sinks",
     [](const Parameters&) {
       spdlog::set_level(spdlog::level::off);
       if (auto* logger = spdlog::default_logger_raw()) {
         for (const auto& sink : logger->sinks()) {
           sink->set_level(spdlog::level::off);
         }
       }
       return done();
     }},
    {"/spdlog/pattern", Harm::lasts, "sets a pattern without the text",
     [](const Parameters&) {
       spdlog::set_pattern("%n");
       return done();
     }},
    {"/spdlog/flush-every", Harm::lasts, "starts spdlog's thread that flushes",
     [](const Parameters&) {
       spdlog::flush_every(std::chrono::seconds(1));
       return done();
     }},
    {"/hooks/atexit", Harm::lasts, "registers an atexit handler that writes a line",
     [](const Parameters&) {
       std::atexit(note_exit);
       return done();
     }},
    {"/hooks/stuck-atexit", Harm::lasts, "registers an atexit handler that never ends",
     [](const Parameters&) {
       std::atexit([] {
         for (;;) {
           pause();
         }
       });
       return done();
     }},
    {"/hooks/atfork", Harm::lasts, "registers a fork handler that ends the child",
     [](const Parameters&) {
       pthread_atfork(nullptr, nullptr, [] { _exit(9); });
       return done();
     }},
};

}  // namespace

std::span<const Misbehaviour> libraries() { return kTable; }

}  // namespace hostile
