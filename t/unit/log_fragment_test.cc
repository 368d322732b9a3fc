#include <fcntl.h>

#include "log/fragment.h"
#include "log/line.h"
#include "log_support.h"

namespace forktail::log {
namespace {

class LogFragment : public LogTest {
 protected:
  bool erase(const std::string& content, std::string_view fragment) {
    std::ofstream(path_) << content;
    const int log = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    const bool erased = erase_fragment(log, fragment);
    close(log);
    return erased;
  }
};

TEST_F(LogFragment, BecomesBlanksAtTheEndOfTheFile) {
  EXPECT_TRUE(erase("{\"a\":1}\n{\"b\":", "{\"b\":"));
  EXPECT_EQ(content_of(path_), "{\"a\":1}\n     ");
  EXPECT_TRUE(erase("{\"b", "{\"b"));
  EXPECT_EQ(content_of(path_), "   ");
}

TEST_F(LogFragment, StaysWhenAnothersLineStandsBehindIt) {
  EXPECT_FALSE(erase("{\"b{\"a\":1}\n", "{\"b"));
  EXPECT_EQ(content_of(path_), "{\"b{\"a\":1}\n");
}

TEST_F(LogFragment, IsNotLookedForInAFileThatWasCut) {
  EXPECT_FALSE(erase("{", "{\"b"));
  EXPECT_EQ(content_of(path_), "{");
}

TEST_F(LogFragment, CanNotBeErasedInAPipeOrBehindAClosedDescriptor) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  EXPECT_FALSE(erase_fragment(ends[1], "{"));
  close(ends[0]);
  close(ends[1]);
  EXPECT_FALSE(erase_fragment(ends[1], "{"));
}

// With `}` for the end of a line and `{` for what only begins one.
class LogTornLines : public LogTest {
 protected:
  std::string mended(const std::string& content, std::string_view start = "{") {
    std::ofstream(path_) << content;
    const int log = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    blank_torn_lines(log, start);
    close(log);
    return content_of(path_);
  }
};

TEST_F(LogTornLines, LeaveTheLineBehindThemWhole) {
  EXPECT_EQ(mended("{a}\n{bc{d}\n{e}\n"), "{a}\n   {d}\n{e}\n");
  EXPECT_EQ(mended("{bc{d}\n"), "   {d}\n");
  EXPECT_EQ(mended("{b{c{d}\n"), "    {d}\n");
}

TEST_F(LogTornLines, AreKnownByAPartOfABeginning) {
  EXPECT_EQ(mended("{\"t{\"ts\":\"1\"}\n", kJsonStart), "   {\"ts\":\"1\"}\n");
  EXPECT_EQ(mended("  {\"t{\"ts\":\"1\"}\n", kJsonStart), "     {\"ts\":\"1\"}\n");
}

TEST_F(LogTornLines, AreNotWhatSomebodyElseHasWrittenInFrontOfALine) {
  EXPECT_EQ(mended("hello {\"ts\":\"1\"}\n", kJsonStart), "hello {\"ts\":\"1\"}\n");
}

TEST_F(LogTornLines, AreNotLookedForBehindTheLastLineFeed) {
  EXPECT_EQ(mended("{a}\n{b{c"), "{a}\n{b{c");
}

TEST_F(LogTornLines, AreCutOffTheEndWhenNobodyWritesThereAnyMore) {
  const auto cut = [this](const std::string& content) {
    std::ofstream(path_) << content;
    const int log = open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    cut_unfinished_line(log, "{+");
    close(log);
    return content_of(path_);
  };
  EXPECT_EQ(cut("{+a}\n{+b"), "{+a}\n");
  EXPECT_EQ(cut("{+a}\n{"), "{+a}\n");
  EXPECT_EQ(cut("{+a}\n  {+b"), "{+a}\n");
  EXPECT_EQ(cut("{+a"), "");
  EXPECT_EQ(cut("{+a}\n"), "{+a}\n");
  EXPECT_EQ(cut(""), "");
  EXPECT_EQ(cut("{+a}\n  "), "{+a}\n") << "what was a line is blanks by now";
  EXPECT_EQ(cut("{+a}\nwhat another has to say"), "{+a}\nwhat another has to say");
}

TEST_F(LogTornLines, AreOtherThanWholeLinesAndEmptyOnes) {
  EXPECT_EQ(mended("\n{a}\nplain\n  {b}\n"), "\n{a}\nplain\n  {b}\n");
}

TEST_F(LogTornLines, AreLookedForAtTheEndOfALongFile) {
  const std::string old = "{old{er}\n";
  const std::string long_ago(2 << 20, '.');
  EXPECT_EQ(mended(old + long_ago + "{x\n{b{c}\n"), old + long_ago + "{x\n  {c}\n");
}

}  // namespace
}  // namespace forktail::log
