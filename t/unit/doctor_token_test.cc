#include <gtest/gtest.h>

#include <cmath>

#include "doctor/align.h"
#include "doctor/token.h"

namespace forktail::doctor {
namespace {

using Words = std::vector<std::string_view>;

constexpr double kNow = 1795847000;  // 2026-11-28T06:23:20Z

TEST(DoctorToken, WordsAreCutWhereAReaderWouldCutThem) {
  EXPECT_EQ(tokens(R"({"count":12, "at":"06:10:15.5"})"),
            (Words{"count", "12", "at", "06:10:15.5"}));
  EXPECT_EQ(tokens("a=1&b=QUJD== c"), (Words{"a", "1", "b", "QUJD==", "c"}));
  EXPECT_EQ(tokens("0.8444 -- f81d4fae-7dec-11d0 (x)."),
            (Words{"0.8444", "f81d4fae-7dec-11d0", "x"}));
  EXPECT_EQ(tokens("Größe:1"), (Words{"Größe", "1"}));
  EXPECT_TRUE(tokens("").empty());
  EXPECT_TRUE(tokens("= - : ...").empty());
}

TEST(DoctorToken, KnowsAddressesFromOtherNumbers) {
  EXPECT_EQ(as_address("0x7f4d9ecf92d4"), 0x7f4d9ecf92d4U);
  EXPECT_EQ(as_address("139971353753472"), 139971353753472U);
  EXPECT_FALSE(as_address("28000000"));
  EXPECT_FALSE(as_address("0x"));
  EXPECT_FALSE(as_address("0xfg"));
}

TEST(DoctorToken, ReadsTimesInTheirUsualForms) {
  for (const std::string_view text :
       {"1795847000", "1795847000.25", "1795847000250", "1795847000250000", "1795847000250000000",
        "2026-11-28T06:23:20Z", "2026-11-28T07:23:20.25+01:00", "2026-11-28T06:23:20.25"}) {
    const auto moment = as_moment(text, kNow);
    ASSERT_TRUE(moment) << text;
    EXPECT_NEAR(moment->seconds, kNow, 0.3) << text;
  }
  EXPECT_EQ(as_moment("1795847000", kNow)->resolution, 1);
  EXPECT_NEAR(as_moment("1795847000.25", kNow)->resolution, 0.01, 1e-9);
  EXPECT_NEAR(as_moment("2026-11-28T06:23:20.250Z", kNow)->resolution, 0.001, 1e-9);
}

TEST(DoctorToken, OtherNumbersAndDatesAreNoTimes) {
  for (const std::string_view text : {"1", "12345", "2026-11-28", "4294967295", "17958470x0", "",
                                      "nan", "inf", "0x6b0a", "1e9"}) {
    EXPECT_FALSE(as_moment(text, kNow)) << text;
  }
}

TEST(DoctorToken, KnowsTheTimeOfDay) {
  EXPECT_TRUE(is_time_of_day("06:10:15"));
  EXPECT_TRUE(is_time_of_day("06:10:15.123"));
  EXPECT_FALSE(is_time_of_day("06:10"));
  EXPECT_FALSE(is_time_of_day("06:10:15x"));
  EXPECT_FALSE(is_time_of_day("0610:15:1"));
}

TEST(DoctorToken, CountsBitsOfWhatDiffers) {
  EXPECT_EQ(differing_length("0.8444", "0.1239"), 4U);
  EXPECT_EQ(differing_length("abc", "abc"), 0U);
  EXPECT_EQ(differing_length("aba", "ababa"), 0U);
  EXPECT_NEAR(bits_of("1234", 4), 4 * std::log2(10), 1e-9);
  EXPECT_NEAR(bits_of("12ef", 4), 16, 1e-9);
  EXPECT_NEAR(bits_of("12zZ", 4), 4 * std::log2(62), 1e-9);
}

TEST(DoctorAlign, CountsThroughTextsOfEquallyManyWords) {
  const auto places = align({"count 1 of 9", "count 2 of 9"});
  ASSERT_EQ(places.size(), 4U);
  EXPECT_EQ(places[1].label, "count");
  EXPECT_EQ(places[1].words, (Words{"1", "2"}));
  EXPECT_EQ(places[2].label, "");
}

TEST(DoctorAlign, FindsThePlacesAgainThoughATextHasMoreWords) {
  const auto places =
      align({"token ab12 end", "warning slow answer token cd34 end", "token ef56 and more end"});
  ASSERT_EQ(places.size(), 3U);
  EXPECT_EQ(places[1].words, (Words{"ab12", "cd34", "ef56"}));
  EXPECT_EQ(places[1].label, "token");
  EXPECT_EQ(places[2].words, (Words{"end", "end", "end"}));
}

TEST(DoctorAlign, TextsWithNothingInCommonHaveNoPlaces) {
  EXPECT_TRUE(align({"", "a b"}).empty());
  EXPECT_TRUE(align({"x", "a b"}).empty());
  EXPECT_TRUE(align({}).empty());
}

}  // namespace
}  // namespace forktail::doctor
