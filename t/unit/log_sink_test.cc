#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "forktail/context.h"
#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Context context(std::string_view id, std::string_view traceparent = {}) {
  return {id, traceparent, Worker{}, Context::Clock::time_point::max()};
}

std::shared_ptr<spdlog::logger> logger_to(const std::shared_ptr<Sink>& sink) {
  auto logger = std::make_shared<spdlog::logger>("", sink);
  logger->set_level(spdlog::level::trace);
  return logger;
}

class LogSink : public LogTest {};

// --- what spdlog hands over

TEST_F(LogSink, WritesALineOfSpdlogWithTheLevelsOwnWord) {
  const auto sink = std::make_shared<Sink>(path_, Format::json);
  const auto logger = logger_to(sink);
  for (const auto level : {spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
                           spdlog::level::warn, spdlog::level::err, spdlog::level::critical}) {
    logger->log(level, "m");
  }
  std::vector<std::string> levels;
  for (const Json& line : json_lines_of(path_)) {
    levels.push_back(line["level"]);
  }
  EXPECT_THAT(levels, ElementsAre("trace", "debug", "info", "warn", "error", "critical"));
}

TEST_F(LogSink, TakesTimeSourceAndThreadFromWhereTheyAre) {
  const auto sink = std::make_shared<Sink>(path_, Format::json);
  pid_t thread_id = 0;
  std::thread([&] {
    thread_id = gettid();
    spdlog::details::log_msg message(spdlog::source_loc{"/a/b/shop.cc", 12, "f"}, "",
                                     spdlog::level::info, "m");
    message.time = system_.wall;
    sink->log(message);
  }).join();
  const Json line = json_lines_of(path_).at(0);
  EXPECT_EQ(line["ts"], "2026-11-23T05:55:30.123456Z");
  EXPECT_EQ(line["src"], "shop.cc:12");
  EXPECT_EQ(line["pid"], getpid());
  EXPECT_EQ(line["tid"], thread_id);
}

TEST_F(LogSink, IgnoresPatternsAndFormatters) {
  const auto sink = std::make_shared<Sink>(path_, Format::json);
  const auto logger = logger_to(sink);
  logger->set_pattern("%v");
  logger->info("m");
  logger->flush();
  EXPECT_EQ(json_lines_of(path_).at(0)["msg"], "m");
}

// --- whose line it is

TEST_F(LogSink, BearsTheCurrentRequestsIdAndTrace) {
  const auto sink = std::make_shared<Sink>(path_, Format::json);
  const Context mine =
      context("an-id-of-mine", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  {
    const Scope scope(mine);
    logger_to(sink)->info("within");
    sink->write(EventKind::request, "", "the server's");
    sink->write(EventKind::request, "an-id-of-mine", "the same");
    sink->write(EventKind::request, "another-id", "another's");
  }
  logger_to(sink)->info("after");
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 5U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(lines[i]["request_id"], "an-id-of-mine");
    EXPECT_EQ(lines[i]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    EXPECT_EQ(lines[i]["span_id"], "00f067aa0ba902b7");
  }
  EXPECT_EQ(lines[3]["request_id"], "another-id");
  EXPECT_FALSE(lines[3].contains("trace_id"));
  EXPECT_FALSE(lines[4].contains("request_id"));
}

TEST_F(LogSink, WritesTheServersOwnLinesWithTheirFields) {
  Sink sink(path_, Format::json, system_);
  sink.set_identity({3, 2});
  sink.write(EventKind::request, "id", "GET /", {{"status", std::int64_t{200}}});
  const std::string line = lines_of(path_).at(0);
  EXPECT_TRUE(line.starts_with(R"({"ts":"2026-11-23T05:55:30.123456Z","level":"info",)"
                               R"("request_id":"id","pid":)"));
  EXPECT_TRUE(line.ends_with(
      R"("worker":3,"gen":2,"seq":1,"msg":"GET /","event":"request","status":200})"));
}

TEST_F(LogSink, WritesNothingOfTheServersBelowItsLevel) {
  Sink sink(path_, Format::json);
  sink.set_server_level(spdlog::level::warn);
  sink.write(EventKind::request, "", "too low");
  sink.write(EventKind::slow, "", "high enough");
  EXPECT_THAT(messages_of(path_), ElementsAre("high enough"));
}

TEST_F(LogSink, WritesTheServersLinesWhateverTheApplicationMakesOfItsLevel) {
  Sink sink(path_, Format::json);
  sink.set_level(spdlog::level::off);
  sink.write(EventKind::app_threw, "", "still there");
  EXPECT_EQ(json_lines_of(path_).at(0)["event"], "app_threw");
}

TEST_F(LogSink, WritesTextWhenAskedTo) {
  Sink sink(path_, Format::text, system_);
  sink.write(EventKind::slow, "", "m");
  EXPECT_TRUE(lines_of(path_).at(0).starts_with("2026-11-23T05:55:30.123456Z warn - "));
}

TEST_F(LogSink, WritesEachEventInOneWriteAndInTheOrderOfSeq) {
  Sink sink(path_, Format::json, system_);
  for (const char* message : {"a", "b", "c"}) {
    sink.write(EventKind::request, "", message);
  }
  EXPECT_EQ(system_.writes.size(), 3U);
  const auto lines = json_lines_of(path_);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["seq"], i + 1);
  }
}

TEST_F(LogSink, StartsAnewWithAnIdentity) {
  Sink sink(path_, Format::json, system_);
  sink.write(EventKind::request, "", "the parent's");
  system_.fail_next(ENOSPC);
  sink.write(EventKind::request, "", "lost by the parent");
  EXPECT_EQ(sink.dropped(), 1U);

  sink.set_identity({1, 1});
  EXPECT_EQ(sink.dropped(), 0U);
  sink.write(EventKind::request, "", "the child's");  // neither silent nor a report
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["msg"], "the child's");
  EXPECT_EQ(lines[1]["seq"], 1);
}

// --- targets

TEST_F(LogSink, CreatesTheFileForOwnerAndGroup) {
  const mode_t mask = umask(0);
  const Sink sink(path_, Format::json);
  umask(mask);
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640U);
  EXPECT_EQ(fcntl(sink.descriptor(), F_GETFD), FD_CLOEXEC);
  EXPECT_TRUE(fcntl(sink.descriptor(), F_GETFL) & O_APPEND);
}

TEST_F(LogSink, AppendsToWhatIsThere) {
  std::ofstream(path_) << "{\"msg\":\"old\"}\n";
  Sink sink(path_, Format::json);
  sink.write(EventKind::request, "", "new");
  EXPECT_THAT(messages_of(path_), ElementsAre("old", "new"));
}

TEST_F(LogSink, NamesPathReasonAndCureWhenItCanNotOpen) {
  const std::string missing = directory_ / "no/such/file.log";
  EXPECT_THAT([&] { Sink(missing, Format::json); },
              ThrowsMessage<std::runtime_error>(AllOf(HasSubstr(missing),
                                                      HasSubstr("No such file or directory"),
                                                      HasSubstr("create its directory"))));
  const std::string itself = directory_ / ".";
  EXPECT_THAT([&] { Sink(itself, Format::json); },
              ThrowsMessage<std::runtime_error>(
                  AllOf(HasSubstr("Is a directory"), HasSubstr("name a file"))));
}

TEST_F(LogSink, MeansTheStandardErrorByThreeNames) {
  for (const char* name : {"", "-", "stderr"}) {
    Sink sink(name, Format::json);
    struct stat standard {};
    struct stat own {};
    EXPECT_EQ(fstat(STDERR_FILENO, &standard) + fstat(sink.descriptor(), &own), 0);
    EXPECT_EQ(own.st_ino, standard.st_ino);
    EXPECT_NE(sink.descriptor(), STDERR_FILENO) << "which the application may close";
    EXPECT_TRUE(sink.reopen());
    EXPECT_TRUE(sink.reopen_if_moved());
  }
  EXPECT_GE(fcntl(STDERR_FILENO, F_GETFD), 0) << "the standard error was closed";
}

TEST_F(LogSink, TakesOverAnInheritedDescriptor) {
  const int inherited = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
  {
    Sink sink(inherited, path_, Format::json);
    EXPECT_EQ(sink.descriptor(), inherited);
    EXPECT_EQ(fcntl(inherited, F_GETFD), FD_CLOEXEC);
    sink.write(EventKind::request, "", "m");
  }
  EXPECT_THAT(messages_of(path_), ElementsAre("m"));
  EXPECT_THAT([&] { Sink(inherited, path_, Format::json); },
              ThrowsMessage<std::runtime_error>(AllOf(HasSubstr(path_), HasSubstr("not open"))));
}

std::vector<Json> drained(int fifo) {
  std::string bytes(1 << 20, '\0');
  bytes.resize(static_cast<std::size_t>(read(fifo, bytes.data(), bytes.size())));
  std::vector<Json> lines;
  std::istringstream stream(bytes);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(Json::parse(line));
  }
  return lines;
}

TEST_F(LogSink, NeverBlocksOnAFifo) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  Sink sink(path_, Format::json);  // without a reader
  const std::string message(3000, 'm');
  for (int i = 0; i < 100; ++i) {  // more than a pipe's 64 KiB
    sink.write(EventKind::request, "", message);
  }
  EXPECT_GT(sink.dropped(), 0U);
  EXPECT_LT(sink.dropped(), 100U);

  const int reader = open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  std::vector<Json> lines = drained(reader);
  sink.write(EventKind::request, "", message);  // at once: a FIFO is not left alone for a second
  for (const Json& line : drained(reader)) {
    lines.push_back(line);
  }
  close(reader);
  EXPECT_EQ(lines.back()["msg"], message);

  std::uint64_t reported = 0;
  std::uint64_t arrived = 0;
  for (const Json& line : lines) {
    if (line["event"] == "log_recovered") {
      reported += line["dropped"].get<std::uint64_t>();
    } else {
      ++arrived;
    }
  }
  EXPECT_EQ(reported, sink.dropped());
  EXPECT_EQ(arrived + reported, 101U);
}

TEST_F(LogSink, CutsLinesToWhatIsAtomicOnAPipe) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  Sink sink(path_, Format::json, system_);
  sink.write(EventKind::request, "", std::string(20000, 'm'));
  EXPECT_LE(system_.writes.at(0).size(), 4096U);
  EXPECT_GT(Json::parse(system_.writes[0])["truncated"], 0);
}

}  // namespace
}  // namespace forktail::log
