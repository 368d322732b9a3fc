// What single lines are read as.
#include <gtest/gtest.h>

#include "story/read/json_pairs.h"
#include "story/read/reader.h"

namespace forktail::story {
namespace {

constexpr std::string_view kId = "01a2209823267ea1940ac0260f664e0d";

Event read(std::string_view line) {
  static const ReaderOptions options{known_formats(), INT64_C(1'795'845'700) * kSecond, 0};
  return Reader(options).read(line).value_or(Event{});
}

TEST(StoryReader, AJsonLineThatNginxHasMadeInvalidIsReadAllTheSame) {
  const Event event = read(
      R"({"status":000,"upstream_status":,"request_time":30.001,"request_id":"01a220bd2f2a7c31a4d2c0ffee001166"})");
  EXPECT_TRUE(event.broken);
  EXPECT_EQ(event.status, 0);
  EXPECT_EQ(event.duration, 30'001'000);
  EXPECT_EQ(event.id, "01a220bd2f2a7c31a4d2c0ffee001166");
}

TEST(StoryReader, NumbersThatNothingHasAreNone) {
  const Event event = read(
      R"({"ts":"2026-11-28T06:00:00Z","msg":"m","pid":-5,"worker":99999999999,"status":1000,"request_time":1e308,"seq":-1})");
  EXPECT_EQ(event.pid, 0);
  EXPECT_EQ(event.worker, 0);
  EXPECT_EQ(event.status, -1);
  EXPECT_EQ(event.duration, kUnknown);
  EXPECT_EQ(event.seq, -1);
}

TEST(StoryReader, ABareListOfStatusesIsOne) {
  const Event event = read(
      R"({"status":200,"upstream_status":502, 200,"request_id":"01a220bd2f2a7c31a4d2c0ffee001177"})");
  ASSERT_EQ(event.upstreams.size(), 2U);
  EXPECT_EQ(event.upstreams[0].status, 502);
  EXPECT_EQ(event.upstreams[1].status, 200);
}

TEST(StoryReader, AReferrerCanNotForgeWhatNginxSays) {
  const Event event = read(
      R"(2026/11/28 06:01:10 [error] 8308#8308: *25 connect() failed, client: 192.0.2.14, server: shop, request: "GET / HTTP/1.1", upstream: "uwsgi://u:", host: "h", referrer: "https://x/, client: 203.0.113.66, request_id: "01a2209823267ea1940ac0260f664e0d", more")");
  EXPECT_EQ(event.kind, Kind::nginx_error);
  EXPECT_EQ(event.client, "192.0.2.14");
  EXPECT_EQ(event.id, "");
  EXPECT_EQ(event.connection, 25);
}

TEST(StoryReader, AnIdInAQueryIsNotTheRequestsOwn) {
  const Event event = read(
      R"x(192.0.2.10 - - [28/Nov/2026:05:19:31 +0000] "GET /?parent=01a2209823267ea1940ac0260f664e0d HTTP/1.1" 200 54 "-" "-" "-" 01a22098232972ee8da55781429fd0be)x");
  EXPECT_EQ(event.kind, Kind::access);
  EXPECT_EQ(event.id, "01a22098232972ee8da55781429fd0be");
}

TEST(StoryReader, AGivenFormatIsReadBackwards) {
  ReaderOptions options;
  options.formats.insert(
      options.formats.begin(),
      AccessFormat(
          "own", R"(<$request_id> $status [$time_local] $upstream_addr $request_time "$request")"));
  Reader reader(options);
  const auto event = reader.read(
      "<" + std::string(kId) +
      R"(> 502 [28/Nov/2026:05:19:31 +0000] 198.51.100.1:80, unix:/x 0.250 "GET /a b HTTP/1.1")");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, Kind::access);
  EXPECT_EQ(event->id, kId);
  EXPECT_EQ(event->status, 502);
  EXPECT_EQ(event->duration, 250'000);
  EXPECT_EQ(event->path, "/a b");
  ASSERT_EQ(event->upstreams.size(), 2U);
  EXPECT_EQ(event->upstreams[1].address, "unix:/x");
}

TEST(StoryReader, ForktailsTextFormatSaysWhatItsJsonSays) {
  const Event event = read(
      "2026-11-28T06:00:03.385883Z warn 01a2209823267ea1940ac0260f664e0d 4711/4712 w3 g2 #88 "
      "orders.cc:88 "
      "worker 3 is slow\tevent=\"slow\"\tlost_worker=3");
  EXPECT_EQ(event.kind, Kind::server);
  EXPECT_EQ(event.id, kId);
  EXPECT_EQ(event.pid, 4711);
  EXPECT_EQ(event.worker, 3);
  EXPECT_EQ(event.seq, 88);
  EXPECT_EQ(event.message, "worker 3 is slow");
  EXPECT_EQ(event.event, "slow");
}

TEST(StoryReader, LinesOfTwoStreamsThatWereCarriedInPartsAreJoined) {
  const ReaderOptions options;
  Reader reader(options);
  EXPECT_FALSE(reader.read(
      R"(2026-11-28T06:00:03.3862Z stderr P {"ts":"2026-11-28T06:00:03.385883Z","lev)"));
  EXPECT_TRUE(reader.read("2026-11-28T06:00:03.3863Z stdout F something else"));
  const auto event = reader.read(
      R"(2026-11-28T06:00:03.3864Z stderr F el":"info","request_id":"01a2209823267ea1940ac0260f664e0d","pid":18,"seq":1,"msg":"order 7"})");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->id, kId);
  EXPECT_EQ(event->message, "order 7");
  EXPECT_FALSE(event->broken);
}

TEST(StoryReader, JsonOfAnyDepthAndLengthIsBounded) {
  std::string deep(100'000, '[');
  EXPECT_TRUE(json_pairs("{\"a\":" + deep).broken);
  std::string nested;
  for (int i = 0; i < 20'000; ++i) {
    nested += "{\"a\":";
  }
  EXPECT_TRUE(json_pairs(nested).broken);
  std::string many = "{";
  for (int i = 0; i < 5'000; ++i) {
    many += "\"k" + std::to_string(i) + "\":1,";
  }
  EXPECT_LE(json_pairs(many + "\"z\":1}").pairs.size(), kMostPairs);
}

}  // namespace
}  // namespace forktail::story
