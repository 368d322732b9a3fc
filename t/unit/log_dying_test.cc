// The last line of a process, and the list that it holds.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "log/sink.h"
#include "log_support.h"

namespace forktail::log {
namespace {

class LogDying : public LogTest {
 protected:
  // On the heap, as the fixture is: a sink whose lock is never released may not leave one behind
  // that ThreadSanitizer takes for another's at the same place of the stack.
  Sink sink_{path_, Format::json, system_};
};

std::vector<std::string_view> list_of(std::size_t count, std::string_view item) {
  return std::vector<std::string_view>(count, item);
}

TEST_F(LogDying, WritesOneMoreLineInItsTurn) {
  sink_.set_identity({3, 2});
  sink_.write(EventKind::request, {}, "before");
  const std::vector<std::string_view> stack{"a+0x1", "b\"\n"};
  const std::array<Field, 1> fields{{{"stack", stack}}};
  {
    const Context context("0192f0c1a2b3c4d5", {}, {}, Context::Clock::time_point::max());
    const Scope scope(context);
    sink_.write_dying(EventKind::crash, "crashed", fields);
  }
  const auto lines = json_lines_of(path_);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1]["level"], "critical");
  EXPECT_EQ(lines[1]["seq"], 2);
  EXPECT_EQ(lines[1]["worker"], 3);
  EXPECT_EQ(lines[1]["request_id"], "0192f0c1a2b3c4d5");
  EXPECT_EQ(lines[1]["msg"], "crashed");
  EXPECT_EQ(lines[1]["stack"], Json({"a+0x1", "b\"\n"}));
}

TEST_F(LogDying, WritesInASingleWriteEvenWhenItsOwnThreadHoldsTheLock) {
  sink_.write_dying(EventKind::crash, "first", {});  // and keeps the lock
  sink_.write_dying(EventKind::crash, "second", {});
  EXPECT_EQ(system_.writes.size(), 2U);
  EXPECT_EQ(messages_of(path_), (std::vector<std::string>{"first", "second"}));
}

TEST_F(LogDying, WritesAtAnyLevel) {
  sink_.set_server_level(spdlog::level::off);
  sink_.write_dying(EventKind::crash, "crashed", {});
  EXPECT_EQ(messages_of(path_).size(), 1U);
}

TEST_F(LogDying, CutsAListBetweenItsItemsAndCounts) {
  const auto stack = list_of(1000, "0123456789");
  const std::array<Field, 1> fields{{{"stack", stack}}};
  sink_.write(EventKind::request, {}, "m", fields);
  const Json line = json_lines_of(path_).at(0);
  const std::size_t kept = line["stack"].size();
  EXPECT_GT(kept, 100U);
  EXPECT_LT(line["stack"].dump().size(), kMaxLine / 4 + 1);
  EXPECT_EQ(line["truncated"], (1000 - kept) * 10);
}

TEST_F(LogDying, LeavesOutAllOfAListBehindItsFirstItemThatDoesNotFit) {
  const std::string huge(5000, 'x');
  const std::vector<std::string_view> stack{"first", huge, "last"};
  const std::array<Field, 1> fields{{{"stack", stack}}};
  sink_.write(EventKind::request, {}, "m", fields);
  const Json line = json_lines_of(path_).at(0);
  EXPECT_EQ(line["stack"], Json({"first"}));
  EXPECT_EQ(line["truncated"], 5004);
}

TEST_F(LogDying, WritesListsInTextToo) {
  Sink text(path_, Format::text, system_);
  const auto stack = list_of(2, "a+0x1");
  const std::array<Field, 2> fields{{{"stack", stack}, {"none", Field::List()}}};
  text.write(EventKind::request, {}, "m", fields);
  EXPECT_TRUE(lines_of(path_).at(0).ends_with(
      "m\tevent=\"request\"\tstack=[\"a+0x1\",\"a+0x1\"]\tnone=[]"));
}

}  // namespace
}  // namespace forktail::log
