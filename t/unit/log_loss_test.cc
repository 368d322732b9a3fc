// What becomes of lines that can not be written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

using ::testing::ElementsAre;

class LogLoss : public LogTest {};

TEST_F(LogLoss, TriesAgainAfterAnInterruption) {
  Sink sink(path_, Format::json, system_);
  system_.fail_next(EINTR);
  system_.fail_next(EINTR);
  sink.write(EventKind::request, "", "m");
  EXPECT_EQ(json_lines_of(path_).at(0)["seq"], 1);
  EXPECT_EQ(sink.dropped(), 0U);
}

class FailingDisk : public LogLoss, public ::testing::WithParamInterface<int> {};

TEST_P(FailingDisk, IsLeftAloneForASecondAndThenTellsHowManyLinesAreLost) {
  Sink sink(path_, Format::json, system_);
  sink.write(EventKind::request, "", "before");
  system_.fail_next(GetParam());
  sink.write(EventKind::request, "", "lost 1");
  const std::size_t tried = system_.writes.size();
  system_.steady += std::chrono::milliseconds(999);
  sink.write(EventKind::request, "", "lost 2");
  EXPECT_EQ(system_.writes.size(), tried) << "a write was tried within the second";

  system_.steady += std::chrono::milliseconds(1);
  system_.fail_next(GetParam());
  sink.write(EventKind::request, "", "lost 3");  // the attempt fails: silent once more
  EXPECT_EQ(system_.writes.size(), tried + 1);
  sink.write(EventKind::request, "", "lost 4");
  EXPECT_EQ(system_.writes.size(), tried + 1);
  EXPECT_EQ(sink.dropped(), 4U);

  system_.steady += std::chrono::seconds(1);
  sink.write(EventKind::request, "", "after");
  sink.write(EventKind::request, "", "and on");
  EXPECT_THAT(messages_of(path_),
              ElementsAre("before", "lines of this process could not be written and are lost",
                          "after", "and on"));
  const auto lines = json_lines_of(path_);
  EXPECT_EQ(lines[1]["level"], "warn");
  EXPECT_EQ(lines[1]["event"], "log_recovered");
  EXPECT_EQ(lines[1]["dropped"], 4);
  EXPECT_EQ(lines[1]["error"], strerrordesc_np(GetParam()));
  EXPECT_EQ(lines[1]["seq"], 1 + 4 + 1) << "the gap must be as wide as what is missing";
  EXPECT_EQ(lines[3]["seq"], 8);
  EXPECT_EQ(sink.dropped(), 4U) << "the report does not reset the count of the statistics";
}

INSTANTIATE_TEST_SUITE_P(Errors, FailingDisk, ::testing::Values(ENOSPC, EDQUOT, EIO, EFBIG, EBADF));

TEST_F(LogLoss, CountsOnlyTheNewLossesInTheNextReport) {
  Sink sink(path_, Format::json, system_);
  for (int round = 0; round < 2; ++round) {
    system_.fail_next(ENOSPC);
    sink.write(EventKind::request, "", "lost");
    system_.steady += std::chrono::seconds(1);
    sink.write(EventKind::request, "", "after");
  }
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[2]["dropped"], 1);
  EXPECT_EQ(sink.dropped(), 2U);
}

TEST_F(LogLoss, ErasesWhatAShortWriteLeftSoThatTheNextLineIsWhole) {
  Sink sink(path_, Format::json, system_);
  Sink other_process(path_, Format::json);
  sink.write(EventKind::request, "", "before");
  system_.cut_next(30);
  sink.write(EventKind::request, "", "cut short");
  EXPECT_EQ(system_.writes.size(), 2U) << "the rest must not be written";
  EXPECT_EQ(sink.dropped(), 1U);

  other_process.write(EventKind::request, "", "another's");
  system_.steady += std::chrono::seconds(1);
  sink.write(EventKind::request, "", "after");
  EXPECT_THAT(messages_of(path_),
              ElementsAre("before", "another's",
                          "lines of this process could not be written and are lost", "after"));
  EXPECT_TRUE(lines_of(path_).at(1).starts_with(std::string(30, ' ') + "{"));
}

TEST_F(LogLoss, EndsAFragmentThatItCanNotErase) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);  // a FIFO's bytes are gone for good
  Sink sink(path_, Format::json, system_);
  system_.cut_next(30);
  sink.write(EventKind::request, "", "cut short");
  ASSERT_EQ(system_.writes.size(), 2U);
  EXPECT_EQ(system_.writes[1], "\n");
  EXPECT_EQ(sink.dropped(), 1U);
}

}  // namespace
}  // namespace forktail::log
