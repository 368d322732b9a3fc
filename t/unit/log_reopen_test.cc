// Rotation under a running process.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LogReopen : public LogTest {};

TEST_F(LogReopen, ReopensARenamedFileUnderTheSameDescriptor) {
  Sink sink(path_, Format::json);
  const int descriptor = sink.descriptor();
  sink.write(EventKind::request, "", "old");
  const std::string rotated = directory_ / "forktail.log.1";
  std::filesystem::rename(path_, rotated);
  sink.write(EventKind::request, "", "still old");
  EXPECT_TRUE(sink.reopen());
  sink.write(EventKind::request, "", "new");

  EXPECT_EQ(sink.descriptor(), descriptor);
  EXPECT_EQ(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  EXPECT_THAT(messages_of(rotated), ElementsAre("old", "still old"));
  EXPECT_THAT(messages_of(path_), ElementsAre("new"));
}

TEST_F(LogReopen, ReopensByItselfOnlyWhenTheFileMoved) {
  Sink sink(path_, Format::json, system_);
  EXPECT_TRUE(sink.reopen_if_moved());
  system_.dup3_error = EBUSY;
  EXPECT_TRUE(sink.reopen_if_moved()) << "nothing moved, so nothing can fail";
  system_.dup3_error = 0;

  std::filesystem::remove(path_);
  EXPECT_TRUE(sink.reopen_if_moved());
  std::filesystem::rename(path_, directory_ / "forktail.log.1");
  std::ofstream(path_) << "";  // as logrotate's `create` does
  EXPECT_TRUE(sink.reopen_if_moved());
  sink.write(EventKind::request, "", "m");
  EXPECT_THAT(messages_of(path_), ElementsAre("m"));
}

TEST_F(LogReopen, KeepsTheOldFileAndSaysWhyWhenItCanNotReopen) {
  Sink sink(path_, Format::json);
  const std::string rotated = directory_ / "forktail.log.1";
  std::filesystem::rename(path_, rotated);
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(sink.reopen());
  EXPECT_FALSE(sink.reopen_if_moved());
  sink.write(EventKind::request, "", "m");

  const auto lines = json_lines_of(rotated);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0]["level"], "error");
  EXPECT_EQ(lines[0]["event"], "log_reopen_failed");
  EXPECT_EQ(lines[0]["path"], path_);
  EXPECT_EQ(lines[0]["error"], "Is a directory");
  EXPECT_THAT(lines[0]["cure"], HasSubstr("name a file"));
  EXPECT_EQ(lines[2]["msg"], "m");
}

TEST_F(LogReopen, LeavesTheOldFileWithWholeLines) {
  Sink sink(path_, Format::json);
  sink.write(EventKind::request, "", "before");
  const std::string old = path_ + ".1";
  std::filesystem::rename(path_, old);
  ASSERT_TRUE(sink.reopen_and_keep());
  const std::string before = content_of(old);
  const std::string torn = before.substr(0, 40);  // by a kill, in front of a late writer's line
  std::ofstream(old, std::ios::app) << torn << before << torn;
  sink.forget_previous();
  EXPECT_EQ(content_of(old), before + std::string(torn.size(), ' ') + before);
  EXPECT_FALSE(sink.keeps_previous());
}

TEST_F(LogReopen, LeaksNoDescriptorWhenItCanNotReplaceTheOldOne) {
  Sink sink(path_, Format::json, system_);
  const int next = dup(sink.descriptor());
  close(next);
  system_.dup3_error = EBUSY;
  EXPECT_FALSE(sink.reopen());
  EXPECT_EQ(fcntl(next, F_GETFD), -1);
  EXPECT_EQ(json_lines_of(path_).at(0)["error"], "Device or resource busy");
}

TEST_F(LogReopen, TriesTheNewFileAtOnceAfterReopening) {
  Sink sink(path_, Format::json, system_);
  system_.fail_next(ENOSPC);
  sink.write(EventKind::request, "", "lost");
  EXPECT_TRUE(sink.reopen());
  sink.write(EventKind::request, "", "new");
  EXPECT_EQ(json_lines_of(path_).at(0)["dropped"], 1);
  EXPECT_EQ(json_lines_of(path_).at(1)["msg"], "new");
}

}  // namespace
}  // namespace forktail::log
