// Stamps as logs write them.
#include <gtest/gtest.h>

#include "story/text.h"
#include "story/time.h"

namespace forktail::story {
namespace {

constexpr Micros kStampNow = INT64_C(1'795'845'700) * kSecond;  // 2026-11-28T06:01:40Z
constexpr Micros kMoment = INT64_C(1'795'845'603) * kSecond;    // 06:00:03

Stamp stamp_in(std::string_view text) {
  std::size_t used = 0;
  return stamp_at(text, used, kStampNow).value_or(Stamp{});
}

TEST(StoryTime, AllShapesOfOneMomentAreTheSame) {
  for (const char* text :
       {"2026-11-28T06:00:03Z", "2026-11-28T07:00:03+01:00", "2026-11-28 06:00:03",
        "2026/11/28 06:00:03", "28/Nov/2026:06:00:03 +0000", "28/Nov/2026:01:00:03 -0500",
        "28/Nov/2026 06:00:03", "Sat Nov 28 06:00:03 2026", "Nov 28 06:00:03 ",
        "2026-11-28T06:00:03+0000"}) {
    EXPECT_EQ(stamp_in(text).at, kMoment) << text;
    EXPECT_EQ(stamp_in(text).grain, kSecond) << text;
  }
}

TEST(StoryTime, AFractionMakesTheStampAsFineAsItsLastDigit) {
  EXPECT_EQ(stamp_in("2026-11-28T06:00:03.385883Z").at, kMoment + 385'883);
  EXPECT_EQ(stamp_in("2026-11-28T06:00:03.385883Z").grain, 1);
  EXPECT_EQ(stamp_in("2026-11-28 06:00:03,749 INFO").grain, kMillisecond);
  EXPECT_EQ(stamp_in("2026-11-28T06:00:03.386011223Z").at, kMoment + 386'011);
}

TEST(StoryTime, WhatIsNoTimeIsNotTakenForOne) {
  for (const char* text : {"2026-13-28T06:00:03Z", "2026-11-28T25:00:03Z", "192.0.2.10 - - [28",
                           "Sat Foo 28 06:00:03 2026", "28/Xyz/2026:06:00:03 +0000", ""}) {
    EXPECT_EQ(stamp_in(text).at, kUnknown) << text;
  }
  EXPECT_FALSE(epoch_stamp("4711"));
  EXPECT_FALSE(epoch_stamp("9999999999.5"));
  EXPECT_FALSE(epoch_stamp("1795845603x"));
}

TEST(StoryTime, NumbersOfAnEpochAreToldApartByTheirLength) {
  EXPECT_EQ(epoch_stamp("1795845603.112")->at, kMoment + 112'000);
  EXPECT_EQ(epoch_stamp("1795845603112")->at, kMoment + 112'000);
  EXPECT_EQ(epoch_stamp("1795845603112345")->at, kMoment + 112'345);
}

TEST(StoryTime, ADayOfTheYearWithoutAYearIsTheLastOne) {
  EXPECT_LT(stamp_in("Dec 24 06:00:03 host").at, kStampNow);
}

TEST(StoryTime, DurationsHaveAtMostThreeDigits) {
  EXPECT_EQ(duration_text(850), "850 us");
  EXPECT_EQ(duration_text(9'940), "9.9 ms");
  EXPECT_EQ(duration_text(12'000), "12 ms");
  EXPECT_EQ(duration_text(2'104'000), "2.1 s");
  EXPECT_EQ(duration_text(200 * kSecond), "3 min 20 s");
}

TEST(StoryText, WhatCommandsATerminalIsShownAsText) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1B[2Jb");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\u{009B}2J");  // C1's CSI
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "txt"),
            "\\u{202E}txt");  // reverses what follows
  EXPECT_EQ(printable("caf\xe9"), "caf\\xE9");
  EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xED\\xA0\\x80");  // a surrogate
}

TEST(StoryText, LongTextsAreCutAtCharacters) {
  EXPECT_EQ(printable(std::string(100, 'a'), 10), "aaaaaaa...");
  EXPECT_EQ(cut_to("caf\xc3\xa9 caf\xc3\xa9", 7), "caf\xc3\xa9...");
}

}  // namespace
}  // namespace forktail::story
