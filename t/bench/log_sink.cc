// Lines per second of our sink against spdlog's own file sink, flushed with each line (what a
// prefork server would need so that a crash loses nothing) and not (what is torn between
// processes).
//
// Each round runs all of them in turn, so that a noisy machine is noisy to all; medians are
// printed.
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "forktail/context.h"
#include "log/sink.h"

namespace {

constexpr int kLines = 200000;
constexpr int kRounds = 7;

// As much on each line as ours has.
constexpr const char* kPattern =
    R"({"ts":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","pid":%P,"tid":%t,"src":"%s:%#","msg":"%v"})";

struct Contender {
  const char* name;
  std::function<spdlog::sink_ptr(const std::string&)> make;
  spdlog::level::level_enum flush_on;
  std::vector<double> lines_per_second;
};

double lines_per_second(const Contender& contender, const std::string& path) {
  auto logger = std::make_shared<spdlog::logger>("bench", contender.make(path));
  logger->flush_on(contender.flush_on);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kLines; ++i) {
    SPDLOG_LOGGER_INFO(logger, "order {} of customer {} is {}", i, 4711, "packed and on its way");
  }
  logger.reset();  // what was kept back is written now
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::remove(path.c_str());
  return kLines / took.count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

spdlog::sink_ptr spdlog_sink(const std::string& path) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  sink->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(kPattern, spdlog::pattern_time_type::utc));
  return sink;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY   (its file system is what is measured)\n", argv[0]);
    return 2;
  }
  const std::string path = std::string(argv[1]) + "/log_sink_bench.log";
  using forktail::log::Format;
  using forktail::log::Sink;
  std::vector<Contender> contenders{
      {"forktail, JSON",
       [](const std::string& file) { return std::make_shared<Sink>(file, Format::json); },
       spdlog::level::off,
       {}},
      {"forktail, text",
       [](const std::string& file) { return std::make_shared<Sink>(file, Format::text); },
       spdlog::level::off,
       {}},
      {"spdlog, flush per line", spdlog_sink, spdlog::level::info, {}},
      {"spdlog, unflushed", spdlog_sink, spdlog::level::off, {}},
  };

  const forktail::Context context("0192f0c1a2b3c4d5e6f7a8b9c0d1e2f3", {}, {3, 1, 1, {}}, {});
  const forktail::Scope scope(context);
  for (int round = 0; round < kRounds; ++round) {
    for (Contender& contender : contenders) {
      contender.lines_per_second.push_back(lines_per_second(contender, path));
    }
  }

  const double ours = median(contenders[0].lines_per_second);
  std::printf("%-24s %12s %22s\n", "sink", "lines/s", "forktail JSON against it");
  for (const Contender& contender : contenders) {
    const double theirs = median(contender.lines_per_second);
    std::printf("%-24s %12.0f %20.2f x\n", contender.name, theirs, ours / theirs);
  }
  return 0;
}
