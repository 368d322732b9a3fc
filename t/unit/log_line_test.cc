#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "log/line.h"
#include "log_support.h"

namespace forktail::log {
namespace {

// Every fact that a line can have.
Event full_event() {
  Event event{};
  event.time = FakeSystem().wall;
  event.level = "info";
  event.request_id = "0192f0c1a2b3c4d5e6f7a8b9c0d1e2f3";
  event.trace = {"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"};
  event.pid = 4711;
  event.tid = 4712;
  event.identity = {3, 1};
  event.source_file = "/src/shop/orders.cc";
  event.source_line = 88;
  event.message = "sold \"1\"";
  return event;
}

std::string line(const Event& event, Format format = Format::json, std::size_t limit = kMaxLine,
                 std::uint64_t seq = 88) {
  Line composed(event, format, limit);
  return std::string(composed.numbered(seq));
}

Json json(const Event& event, std::size_t limit = kMaxLine) {
  const std::string text = line(event, Format::json, limit);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_LE(text.size(), limit);
  return Json::parse(text);
}

TEST(LogLine, HasItsFieldsInTheOrderOfTheContract) {
  EXPECT_EQ(line(full_event()),
            R"({"ts":"2026-11-23T05:55:30.123456Z","level":"info",)"
            R"("request_id":"0192f0c1a2b3c4d5e6f7a8b9c0d1e2f3",)"
            R"("trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7",)"
            R"("pid":4711,"tid":4712,"worker":3,"gen":1,"seq":88,"src":"orders.cc:88",)"
            R"("msg":"sold \"1\""})"
            "\n");
}

TEST(LogLine, LeavesOutWhatItDoesNotKnow) {
  Event event{};
  event.time = FakeSystem().wall;
  event.level = "warn";
  event.pid = 1;
  event.tid = 2;
  event.message = "m";
  EXPECT_EQ(
      line(event, Format::json, kMaxLine, 1),
      R"({"ts":"2026-11-23T05:55:30.123456Z","level":"warn","pid":1,"tid":2,"seq":1,"msg":"m"})"
      "\n");
  event.identity.generation = 7;  // a template: it has no worker number
  EXPECT_EQ(json(event)["gen"], 7);
  EXPECT_FALSE(json(event).contains("worker"));
}

TEST(LogLine, AppendsExtraFieldsInTheGivenOrder) {
  const std::array<Field, 4> fields{{{"event", "request"},
                                     {"path", "/a\"b\n"},
                                     {"status", std::int64_t{-200}},
                                     {"ms", std::chrono::microseconds(250)}}};
  Event event = full_event();
  event.fields = fields;
  const std::string text = line(event);
  EXPECT_TRUE(text.ends_with(
      R"("msg":"sold \"1\"","event":"request","path":"/a\"b\n","status":-200,"ms":0.25})"
      "\n"))
      << text;
}

TEST(LogLine, WritesDurationsInMillisecondsWithAllTheirDigits) {
  using std::chrono::nanoseconds;
  const std::pair<nanoseconds, std::string_view> examples[] = {
      {nanoseconds(0), "0"},
      {nanoseconds(1), "0.000001"},
      {nanoseconds(857'930), "0.85793"},
      {nanoseconds(20'000'000), "20"},
      {nanoseconds(1'002'405'000), "1002.405"},
      {nanoseconds(-1'500'000), "-1.5"},
      {nanoseconds::max(), "9223372036854.775807"},
      {nanoseconds::min(), "-9223372036854.775808"},
  };
  for (const auto& [time, expected] : examples) {
    const std::array<Field, 1> fields{{{"ms", time}}};
    Event event = full_event();
    event.fields = fields;
    const std::string text = line(event);
    EXPECT_TRUE(text.ends_with(",\"ms\":" + std::string(expected) + "}\n")) << text;
  }
}

TEST(LogLine, TakesNumbersUpToTheLargest) {
  EXPECT_EQ(Json::parse(line(full_event(), Format::json, kMaxLine, UINT64_MAX))["seq"], UINT64_MAX);
}

TEST(LogLine, WritesTimesBeforeTheEpochAndOnLeapDays) {
  Event event = full_event();
  event.time = std::chrono::system_clock::time_point(std::chrono::microseconds(-1));
  EXPECT_EQ(json(event)["ts"], "1969-12-31T23:59:59.999999Z");
  event.time = std::chrono::system_clock::time_point(std::chrono::seconds(1709164800));
  EXPECT_EQ(json(event)["ts"], "2024-02-29T00:00:00.000000Z");
}

TEST(LogLine, EscapesEveryTextSoThatNoneForgesALine) {
  const std::string evil = "\n{\"level\":\"info\"}\x1b]0;\xff\"\\";
  const std::array<Field, 1> fields{{{evil, evil}}};
  Event event = full_event();
  event.request_id = event.source_file = event.message = evil;
  event.fields = fields;
  const Json parsed = json(event);
  EXPECT_EQ(parsed["msg"], "\n{\"level\":\"info\"}\x1b]0;\uefff\"\\");
  EXPECT_EQ(parsed["request_id"], parsed["msg"]);
  EXPECT_EQ(parsed.back(), parsed["msg"]);
  EXPECT_EQ(parsed["level"], "info");
}

TEST(LogLine, CutsAMessageAtTheLimitAndSaysByHowMuch) {
  for (const std::size_t limit : {kMinLine, kMaxLine}) {
    for (const std::string_view unit : {"a", "€", "\"", "\x01", "\xff"}) {
      std::string message;
      while (message.size() < 20000) {
        message += unit;
      }
      Event event = full_event();
      event.message = message;
      const Json parsed = json(event, limit);
      const auto shown = parsed["msg"].get<std::string>();
      const std::size_t shown_bytes = unit == "\xff" ? shown.size() / 3 : shown.size();
      EXPECT_GT(shown_bytes, 100U);
      EXPECT_EQ(parsed["truncated"], message.size() - shown_bytes);
      EXPECT_GT(line(event, Format::json, limit).size(), limit - 60) << "room was wasted";
    }
  }
}

TEST(LogLine, MarksNothingThatIsWhole) {
  Event event = full_event();
  const std::string message(7800, 'm');
  event.message = message;
  EXPECT_EQ(json(event)["msg"], message);
  EXPECT_FALSE(json(event).contains("truncated"));
}

TEST(LogLine, CapsItsOtherTextsToo) {
  const std::string huge(1 << 20, '\x01');
  const std::array<Field, 2> fields{{{"path", huge}, {"status", std::int64_t{200}}}};
  Event event = full_event();
  event.request_id = event.source_file = event.message = huge;
  event.fields = fields;
  for (const std::size_t limit : {kMinLine, kMaxLine}) {
    const Json parsed = json(event, limit);
    const auto path = parsed["path"].get<std::string>().size();
    const auto message = parsed["msg"].get<std::string>().size();
    EXPECT_GT(path, 150U);
    EXPECT_GT(message, 150U);
    EXPECT_EQ(parsed["status"], 200);
    EXPECT_EQ(parsed["truncated"], 2 * huge.size() - path - message);
    EXPECT_EQ(parsed["request_id"].get<std::string>().size(), 128U / 6);
  }
}

TEST(LogLine, LeavesOutFieldsThatDoNotFitAndCountsThem) {
  const std::string value(900, 'v');
  std::vector<Field> fields(20, Field{"name", value});
  fields.push_back({"last", std::int64_t{1}});
  Event event = full_event();
  event.fields = fields;
  const std::string text = line(event);
  EXPECT_TRUE(Json::accept(text));
  EXPECT_LE(text.size(), kMaxLine);
  std::size_t shown = 0;
  for (const char c : text) {
    shown += c == 'v' ? 1U : 0U;
  }
  EXPECT_EQ(text.find("last"), std::string::npos);
  EXPECT_EQ(text.find("truncated\":0"), std::string::npos);
  EXPECT_GT(shown, 3000U);
}

TEST(LogLine, CutsTheNameOfAFieldToo) {
  const std::string name(100, 'n');
  const std::array<Field, 1> fields{{{name, std::int64_t{1}}}};
  Event event = full_event();
  event.fields = fields;
  EXPECT_EQ(json(event)[name.substr(0, 64)], 1);
  EXPECT_EQ(json(event)["truncated"], 36);
}

TEST(LogLine, HasATextFormForHumanEyes) {
  const std::array<Field, 3> fields{
      {{"event", "request"}, {"path", "/a b\t\"c\""}, {"status", std::int64_t{200}}}};
  Event event = full_event();
  event.fields = fields;
  EXPECT_EQ(line(event, Format::text),
            "2026-11-23T05:55:30.123456Z info 0192f0c1a2b3c4d5e6f7a8b9c0d1e2f3 4711/4712 w3 g1 #88 "
            "orders.cc:88 sold \"1\""
            "\ttrace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"\tspan_id=\"00f067aa0ba902b7\""
            "\tevent=\"request\"\tpath=\"/a b\\t\\\"c\\\"\"\tstatus=200\n");
}

TEST(LogLine, KeepsItsColumnsInTextWhenFactsAreMissing) {
  Event event{};
  event.time = FakeSystem().wall;
  event.level = "error";
  event.pid = 1;
  event.tid = 2;
  event.message = "two\nlines\tand a tab";
  EXPECT_EQ(line(event, Format::text, kMaxLine, 5),
            "2026-11-23T05:55:30.123456Z error - 1/2 - - #5 - two\\nlines\\tand a tab\n");
}

TEST(LogLine, CutsTextLinesAtTheLimitToo) {
  const std::string huge(1 << 20, '\x01');
  const std::array<Field, 2> fields{{{"a", huge}, {"b", huge}}};
  Event event = full_event();
  event.request_id = event.source_file = event.message = huge;
  event.fields = fields;
  for (const std::size_t limit : {kMinLine, kMaxLine}) {
    const std::string text = line(event, Format::text, limit);
    EXPECT_LE(text.size(), limit);
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    EXPECT_NE(text.find("\ttruncated="), std::string::npos);
    EXPECT_NE(text.find("\tspan_id=\"00f067aa0ba902b7\""), std::string::npos);
  }
}

}  // namespace
}  // namespace forktail::log
