#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "forktail/parameters.h"

namespace {

using forktail::Parameters;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::vector<std::pair<std::string, std::string>> pairs(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [name, value] : Parameters(text)) {
    all.emplace_back(name, value);
  }
  return all;
}

TEST(Parameters, AreReadInTheirOrder) {
  EXPECT_THAT(pairs("b=2&a=1&b=3"), ElementsAre(Pair("b", "2"), Pair("a", "1"), Pair("b", "3")));
}

TEST(Parameters, AreDecoded) {
  EXPECT_THAT(pairs("full+name=J%C3%BCrgen+%26+Co%2e"),
              ElementsAre(Pair("full name", "J\xc3\xbcrgen & Co.")));
  EXPECT_THAT(pairs("a%3Db=c%3d%2B"), ElementsAre(Pair("a=b", "c=+")));
  EXPECT_THAT(pairs("zero=%00."), ElementsAre(Pair("zero", std::string("\0.", 2))));
}

TEST(Parameters, TakeWhatIsNoEncodingAsItIs) {
  EXPECT_THAT(pairs("a=100%&b=%zz&c=%4"),
              ElementsAre(Pair("a", "100%"), Pair("b", "%zz"), Pair("c", "%4")));
}

TEST(Parameters, NeedNeitherNameNorValue) {
  EXPECT_THAT(pairs("a&b=&=c&d=e=f"),
              ElementsAre(Pair("a", ""), Pair("b", ""), Pair("", "c"), Pair("d", "e=f")));
}

TEST(Parameters, SkipWhatIsNoPair) {
  EXPECT_THAT(pairs(""), IsEmpty());
  EXPECT_THAT(pairs("&&"), IsEmpty());
  EXPECT_THAT(pairs("&a=1&&b=2&"), ElementsAre(Pair("a", "1"), Pair("b", "2")));
  EXPECT_TRUE(Parameters("&").empty());
  EXPECT_FALSE(Parameters("a").empty());
  EXPECT_TRUE(Parameters().empty());
}

TEST(Parameters, GiveTheFirstValueOrAll) {
  const Parameters parameters("tag=a&x=1&tag=b%20c&TAG=no");
  EXPECT_EQ(parameters.get("tag"), "a");
  EXPECT_THAT(parameters.all("tag"), ElementsAre("a", "b c"));
  EXPECT_EQ(parameters.get("none"), std::nullopt);
  EXPECT_THAT(parameters.all("none"), IsEmpty());
  EXPECT_EQ(Parameters("flag").get("flag"), "");
}

TEST(Parameters, OfAMillionNamesAreReadInOneRun) {
  std::string text;
  for (int i = 0; i < 1000000; ++i) {
    text += "&a";
  }
  const auto start = std::chrono::steady_clock::now();
  int count = 0;
  for (const auto& parameter : Parameters(text)) {
    count += parameter.name == "a" ? 1 : 0;
  }
  EXPECT_EQ(count, 1000000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

}  // namespace
