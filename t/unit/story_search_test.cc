// Finding ids: the words, the needle, the bisection, the tally.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <vector>

#include "story/join/tally.h"
#include "story/search/bisect.h"
#include "story/search/id_query.h"
#include "story/search/needle.h"
#include "story/search/pair.h"

namespace forktail::story {
namespace {

constexpr Micros kSearchNow = INT64_C(1'795'845'700) * kSecond;
constexpr std::string_view kOne = "01a2209823267ea1940ac0260f664e0d";
constexpr std::string_view kUuid = "01a22098-2326-7ea1-940a-c0260f664e0d";

IdQuery query(std::string_view text) {
  std::string why;
  return IdQuery::parse(text, kSearchNow, why).value();
}

TEST(StoryQuery, AnIdAndItsUuidAreOne) {
  EXPECT_TRUE(query(kOne).equals(kUuid));
  EXPECT_TRUE(query(kUuid).equals(kOne));
  EXPECT_TRUE(query("01a22098-2326").matches(kOne));
  EXPECT_TRUE(query("0260f664e0d").matches(kUuid));
  EXPECT_FALSE(query(kOne).matches("01a2209823267ea1940ac0260f664e0e"));
}

TEST(StoryQuery, AnIdBearsItsMillisecond) {
  EXPECT_EQ(time_of_id(kOne, kSearchNow), INT64_C(0x01a220982326) * kMillisecond);
  EXPECT_FALSE(time_of_id("01a2209823264ea1940ac0260f664e0d", kSearchNow));  // version 4
  EXPECT_FALSE(time_of_id("f1a2209823267ea1940ac0260f664e0d", kSearchNow));  // the year 10,000
  EXPECT_EQ(query("01a220").time()->to - query("01a220").time()->from, kMillisecond << 24);
}

TEST(StoryQuery, OfAWordOnlyTheIdIsTaken) {
  EXPECT_EQ(query(kOne).word_in("x [rid=01a2209823267ea1940ac0260f664e0d] y"), kOne);
  EXPECT_EQ(query(kOne).word_in("id:01a2209823267ea1940ac0260f664e0d: done"), kOne);
  EXPECT_EQ(query(kOne).word_in("x901a2209823267ea1940ac0260f664e0d1"), "");
  EXPECT_EQ(query("order-77").word_in("a order-7712 b"), "order-7712");
}

TEST(StoryQuery, WhatNobodyCanHaveAsAnIdIsRefused) {
  std::string why;
  for (const char* text : {"", "12345", "a b c d e f", "\x1b[2Jabcdef"}) {
    EXPECT_FALSE(IdQuery::parse(text, kSearchNow, why)) << text;
    EXPECT_FALSE(why.empty());
  }
}

TEST(StoryNeedle, FindsWhatFindFinds) {
  std::string bytes;
  unsigned state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 1664525 + 1013904223;
    bytes += "abc7"[state >> 30U];
  }
  for (const std::string text : {"a", "7c", "abcabc7", "7777777", "abcabcabcabcabcabca"}) {
    const Needle needle(text);
    std::size_t from = 0;
    for (int i = 0; i < 500; ++i) {
      const std::size_t expected = bytes.find(text, from);
      ASSERT_EQ(needle.find(bytes, from), expected) << text;
      if (expected == std::string::npos) {
        break;
      }
      from = expected + 1;
    }
  }
  Needle suited("abcabc7");
  suited.suit(bytes);
  for (std::size_t at = suited.find(bytes); at != std::string::npos;
       at = suited.find(bytes, at + 1)) {
    ASSERT_EQ(bytes.substr(at, 7), "abcabc7");
  }
  EXPECT_EQ(suited.find(bytes), bytes.find("abcabc7"));
  EXPECT_EQ(Needle("abcd").find("abc"), std::string_view::npos);
  EXPECT_EQ(Needle("abcd").find("abcd"), 0U);
}

// The bytes end where the test's memory does, so that a sanitizer sees who reads on.
TEST(StoryNeedle, EveryWayFindsATextAtEveryPlace) {
  for (const FindByPair find : ways_to_find()) {
    for (const std::string_view text : {"x", "xy", "order-7435c3a3f4c1fbe7"}) {
      for (std::size_t size = text.size(); size < 120; ++size) {
        std::vector<char> bytes(size, '.');
        const std::string_view all(bytes.data(), bytes.size());
        ASSERT_EQ(find(all, 0, text, 0, text.size() - 1), std::string_view::npos);
        for (std::size_t at = 0; at + text.size() <= size; ++at) {
          std::copy(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
          ASSERT_EQ(find(all, 0, text, 0, text.size() - 1), at) << text << " in " << size;
          ASSERT_EQ(find(all, at, text, text.size() - 1, 0), at) << text << " in " << size;
          if (at + text.size() < size) {
            ASSERT_EQ(find(all, at + 1, text, 0, text.size() - 1), std::string_view::npos);
          }
          std::fill(bytes.begin(), bytes.end(), '.');
        }
      }
    }
  }
}

TEST(StoryNeedle, EveryWayPassesOverWhatOnlyHasTheTwoCharacters) {
  for (const FindByPair find : ways_to_find()) {
    std::string bytes;
    for (int i = 0; i < 100; ++i) {
      bytes += "o-d ";
    }
    bytes += "o-e";
    EXPECT_EQ(find(bytes, 0, "o-e", 0, 1), 400U);
    EXPECT_EQ(find(bytes, 0, "o-f", 0, 1), std::string_view::npos);
  }
}

// A log of one line each ten milliseconds.
class Log {
 public:
  explicit Log(int lines) {
    int descriptor = mkstemp(path_);
    std::string text;
    for (int i = 0; i < lines; ++i) {
      const Micros at = kSearchNow + i * 10 * kMillisecond;
      text += "{\"ts\":\"" + rfc3339(at) + "\",\"msg\":\"" +
              std::string(static_cast<std::size_t>(i % 97), 'x') + "\"}\n";
    }
    EXPECT_EQ(write(descriptor, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    source_ = std::make_unique<Source>(path_, descriptor, Packing::none, text.size(), kSearchNow);
    text_ = text;
  }
  ~Log() { unlink(path_); }
  const Source& source() const { return *source_; }
  const std::string& text() const { return text_; }

 private:
  char path_[32] = "/tmp/forktail-story-XXXXXX";
  std::unique_ptr<Source> source_;
  std::string text_;
};

TEST(StoryBisection, FindsEveryTimeWithFewPages) {
  const Log log(20'000);
  const ReaderOptions options;
  for (const int line : {0, 1, 77, 9'999, 19'998, 19'999}) {
    Bisection bisection(log.source(), options);
    const Micros at = kSearchNow + line * 10 * kMillisecond;
    const std::uint64_t offset = bisection.find(at);
    const std::size_t there = log.text().find(rfc3339(at));
    EXPECT_LE(offset, there);
    EXPECT_LT(there - offset, 40'000U);
    EXPECT_TRUE(offset == 0 || log.text()[offset - 1] == '\n');
    EXPECT_LT(bisection.pages(), 80U);
  }
}

TEST(StoryTally, CountsTheSameWhetherItSpillsOrNot) {
  for (const std::size_t room : {std::size_t{1} << 16, std::size_t{64}}) {
    Tally tally(room);
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 2'000; ++i) {
        Count count;
        count.app = 1;
        count.first = kSearchNow + round;
        tally.add("request-number-" + std::to_string(i), count);
      }
    }
    EXPECT_EQ(tally.spilled(), room == 64);
    std::size_t ids = 0;
    tally.each([&](const Count& count) {
      ++ids;
      EXPECT_EQ(count.app, 3);
      EXPECT_EQ(count.first, kSearchNow);
    });
    EXPECT_EQ(ids, 2'000U);
  }
}

}  // namespace
}  // namespace forktail::story
