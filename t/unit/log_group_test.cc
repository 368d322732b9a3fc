// A request's lines as one block.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "log/group.h"
#include "log/sink.h"
#include "log_gathering.h"
#include "log_support.h"

namespace forktail::log {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LogGroup : public LogTest {
 protected:
  // What a group, the first one, and the numbering were.
  class Memento {
   public:
    explicit Memento(const SharedGathering& of, std::size_t place = 0)
        : gathering_(of.view()),
          place_(place),
          seq_(gathering_.order->seq),
          group_(std::make_unique<Group>(gathering_.groups[place])) {}
    void restore_but_for_the_note() const {
      restore_but_for_note_and_count();
      gathering_.order->seq = seq_;
    }
    void restore_but_for_note_and_count() const {
      Group& group = gathering_.groups[place_];
      const FileEnd end = group.written_behind();
      const std::uint64_t seq = group.numbered_behind();
      group = *group_;
      group.note_writing(end, seq);
    }

   private:
    Gathering gathering_;
    std::size_t place_;
    std::uint64_t seq_;
    std::unique_ptr<Group> group_;
  };

  void log(std::string_view id, std::string_view message) {
    sink_.write(EventKind::request, id, message);
  }

  // Of one request; what its group was before that.
  Memento write_two_lines() {
    sink_.gather(gathering_.view());
    sink_.begin_request(0, "request-1");
    log("request-1", "a");
    log("request-1", "b");
    Memento before(gathering_);
    sink_.end_request(0);
    return before;
  }

  Sink sink_{path_, Format::json, system_};
  SharedGathering gathering_;
};

TEST_F(LogGroup, IsWrittenAtOnceWhenItsRequestEnds) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  sink_.begin_request(1, "request-2");
  log("request-1", "a");
  log("request-2", "x");
  log("request-1", "b");
  EXPECT_THAT(system_.writes, IsEmpty());
  sink_.end_request(0);
  EXPECT_EQ(system_.writes.size(), 1U);
  sink_.end_request(1);
  EXPECT_EQ(system_.writes.size(), 2U);
  EXPECT_THAT(messages_of(path_), ElementsAre("a", "b", "x"));
}

TEST_F(LogGroup, NumbersItsLinesAsTheyStandInTheFile) {
  log("", "before any request");
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "gathered");
  log("", "of no request");
  sink_.end_request(0);
  std::vector<std::pair<std::string, int>> seen;
  for (const Json& line : json_lines_of(path_)) {
    seen.emplace_back(line["msg"], line["seq"]);
  }
  EXPECT_THAT(seen, ElementsAre(std::pair("before any request", 1), std::pair("of no request", 2),
                                std::pair("gathered", 3)));
}

TEST_F(LogGroup, IsWrittenAsTextToo) {
  Sink text(directory_ / "text.log", Format::text, system_);
  text.gather(gathering_.view());
  text.begin_request(0, "request-1");
  text.write(EventKind::request, "request-1", "a");
  text.write(EventKind::request, "request-1", "b");
  text.write_gathered(gathering_.view(), false);
  EXPECT_EQ(content_of(directory_ / "text.log"), "");
  text.end_request(0);
  const auto lines = lines_of(directory_ / "text.log");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], ::testing::HasSubstr(" #1 - a"));
  EXPECT_THAT(lines[1], ::testing::HasSubstr(" #2 - b"));
}

TEST_F(LogGroup, HoldsNothingOfARequestThatHasEnded) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  sink_.end_request(0);
  EXPECT_THAT(system_.writes, IsEmpty()) << "an empty block was written";
  log("request-1", "late");
  EXPECT_THAT(messages_of(path_), ElementsAre("late"));
}

TEST_F(LogGroup, IsWrittenWhenItIsFull) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  const std::string message(1000, 'm');
  constexpr int kLines = 200;
  for (int i = 0; i < kLines; ++i) {
    log("request-1", message);
  }
  EXPECT_GT(system_.writes.size(), 1U);
  EXPECT_LT(system_.writes.size(), 10U);
  sink_.end_request(0);
  EXPECT_EQ(messages_of(path_), std::vector<std::string>(kLines, message));
}

TEST_F(LogGroup, WaitsForASecondAndNoLonger) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "first");
  system_.steady += std::chrono::milliseconds(999);
  log("request-1", "second");
  EXPECT_THAT(system_.writes, IsEmpty());
  system_.steady += std::chrono::milliseconds(1);
  log("request-1", "third");
  EXPECT_THAT(messages_of(path_), ElementsAre("first", "second"));
}

TEST_F(LogGroup, IsWrittenByTheMasterWhenItsRequestTakesLonger) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "stuck");
  Sink master(path_, Format::json, system_);
  master.write_gathered(gathering_.view(), false);
  EXPECT_THAT(messages_of(path_), IsEmpty());
  system_.steady += std::chrono::seconds(1);
  master.write_gathered(gathering_.view(), false);
  log("request-1", "on");
  sink_.end_request(0);
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["msg"], "stuck");
  EXPECT_FALSE(lines[0].contains("recovered"));
  EXPECT_EQ(lines[1]["seq"], 2);
}

TEST_F(LogGroup, OfADeadWorkerIsWrittenByTheMasterAndMarked) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "last words");
  gathering_.abandon_lock();
  Sink master(path_, Format::json, system_);
  master.write_gathered(gathering_.view(), true);
  master.write_gathered(gathering_.view(), true);
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0]["msg"], "last words");
  EXPECT_EQ(lines[0]["request_id"], "request-1");
  EXPECT_EQ(lines[0]["recovered"], true);
}

// As if killed in write(2), which a kill may cut short, or on the way back from it.
class LogGroupCut : public LogGroup, public ::testing::WithParamInterface<int> {};

TEST_P(LogGroupCut, LeavesEachLineOnce) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  for (const char* message : {"a", "b", "c"}) {
    log("request-1", message);
  }
  const Memento before(gathering_);
  system_.cut_next(static_cast<std::size_t>(GetParam()));
  sink_.end_request(0);
  before.restore_but_for_the_note();
  Sink master(path_, Format::json, system_);
  master.write(EventKind::request, "", "meanwhile");
  master.write_gathered(gathering_.view(), true);
  std::vector<std::string> of_the_request;
  for (const Json& line : json_lines_of(path_)) {
    if (line.contains("request_id")) {
      of_the_request.push_back(line["msg"]);
      EXPECT_EQ(line["seq"], of_the_request.size());
    }
  }
  EXPECT_THAT(of_the_request, ElementsAre("a", "b", "c"));
}

// Before the end, within a line, behind the first line, within the third, all.
INSTANTIATE_TEST_SUITE_P(Anywhere, LogGroupCut,
                         ::testing::Values(0, 120, 125, 130, 200, 300, 1000));

// Killed when it had counted them, and had not yet emptied the group.
TEST_F(LogGroup, ThatWasWrittenAndCountedIsNotWrittenAgain) {
  const Memento before = write_two_lines();
  before.restore_but_for_note_and_count();
  Sink master(path_, Format::json, system_);
  master.write_gathered(gathering_.view(), true);
  EXPECT_THAT(messages_of(path_), ElementsAre("a", "b"));
  EXPECT_EQ(json_lines_of(path_)[1]["seq"], 2);
}

TEST_F(LogGroup, ThatWasBeingWrittenIsWrittenToItsEndBeforeAnotherThreads) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "waits");
  sink_.begin_request(1, "request-2");
  log("request-2", "a");
  log("request-2", "b");
  const Memento before(gathering_, 1);
  system_.cut_next(200);
  sink_.end_request(1);
  before.restore_but_for_the_note();
  Sink master(path_, Format::json, system_);
  master.write_gathered(gathering_.view(), true);
  EXPECT_THAT(messages_of(path_), ElementsAre("a", "b", "waits"));
  EXPECT_EQ(json_lines_of(path_)[2]["seq"], 3);
}

// Killed when the master had reopened the log, and it had not yet.
TEST_F(LogGroup, IsLookedForInTheFileThatTheWorkerWroteTo) {
  const Memento before = write_two_lines();
  before.restore_but_for_the_note();
  Sink master(path_, Format::json, system_);
  const std::string rotated = directory_ / "rotated";
  std::filesystem::rename(path_, rotated);
  ASSERT_TRUE(master.reopen_and_keep());
  master.write_gathered(gathering_.view(), true);
  EXPECT_THAT(messages_of(rotated), ElementsAre("a", "b"));
  EXPECT_THAT(messages_of(path_), IsEmpty());
  master.forget_previous();
  EXPECT_FALSE(master.keeps_previous());
}

TEST_F(LogGroup, OfADeadWorkerIsMarkedInTextToo) {
  Sink text(directory_ / "text.log", Format::text, system_);
  text.gather(gathering_.view());
  text.begin_request(0, "request-1");
  text.write(EventKind::request, "request-1", "last words");
  Sink master(directory_ / "text.log", Format::text, system_);
  master.write_gathered(gathering_.view(), true);
  EXPECT_THAT(content_of(directory_ / "text.log"),
              ::testing::EndsWith(" - last words\tevent=\"request\"\trecovered=true\n"));
}

TEST_F(LogGroup, ThatADeadWorkerHasSpoiltHarmsNobody) {
  gathering_.spoil();
  Sink master(path_, Format::json, system_);
  master.write_gathered(gathering_.view(), false);
  master.write_gathered(gathering_.view(), true);
  master.write(EventKind::request, "", "on");
  EXPECT_THAT(content_of(path_), ::testing::HasSubstr("\"msg\":\"on\""));
}

// What another worker has written over: a lock that nobody holds, or that somebody seems to.
class LogGroupLock : public LogGroup, public ::testing::WithParamInterface<int> {};

TEST_P(LogGroupLock, ThatIsNobodysKeepsNobodyWaitingForGood) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "a");
  gathering_.spoil_lock(GetParam());
  log("request-1", "b");
  sink_.end_request(0);
  EXPECT_THAT(messages_of(path_), ElementsAre("a", "b"));
}

INSTANTIATE_TEST_SUITE_P(Values, LogGroupLock, ::testing::Values(1, 2, 3, 0x7f7f7f7f, -1));

TEST_F(LogGroup, ThatHoldsNoLinesPutsNothingInTheLog) {
  gathering_.spoil(0x7f);  // which is as long as two halves of a line may be
  Sink master(path_, Format::json, system_);
  master.write_gathered(gathering_.view(), true);
  EXPECT_THAT(system_.writes, IsEmpty());
}

TEST_F(LogGroup, OfAWorkerThatIsWritingIsLeftAlone) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "mine");
  system_.steady += std::chrono::seconds(1);
  Sink master(path_, Format::json, system_);
  gathering_.view().order->lock();
  std::thread([&] { master.write_gathered(gathering_.view(), false); }).join();
  gathering_.view().order->unlock();
  EXPECT_THAT(system_.writes, IsEmpty());
}

TEST_F(LogGroup, ThatFindsTheDiskFullCountsItsLines) {
  sink_.gather(gathering_.view());
  sink_.begin_request(0, "request-1");
  log("request-1", "a");
  log("request-1", "b");
  log("request-1", "c");
  system_.cut_next(190);  // the first line and a piece of the second
  sink_.end_request(0);
  EXPECT_EQ(sink_.dropped(), 2U);
  system_.steady += std::chrono::seconds(1);
  log("", "after");
  const auto lines = json_lines_of(path_);
  EXPECT_THAT(messages_of(path_),
              ElementsAre("a", "lines of this process could not be written and are lost", "after"));
  EXPECT_EQ(lines.at(1)["dropped"], 2);
  EXPECT_EQ(lines.at(1)["seq"], 4);
}

TEST_F(LogGroup, GoesIntoAPipeInPiecesThatDoNotTear) {
  const std::string fifo = directory_ / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK);
  Sink sink(fifo, Format::json, system_);
  sink.gather(gathering_.view());
  sink.begin_request(0, "request-1");
  for (int i = 0; i < 10; ++i) {
    sink.write(EventKind::request, "request-1", std::string(1000, 'm'));
  }
  sink.end_request(0);
  EXPECT_EQ(sink.dropped(), 0U);
  EXPECT_GT(system_.writes.size(), 1U);
  for (const std::string& piece : system_.writes) {
    EXPECT_LE(piece.size(), 4096U);
    EXPECT_EQ(piece.back(), '\n');
  }
  close(reader);
}

}  // namespace
}  // namespace forktail::log
