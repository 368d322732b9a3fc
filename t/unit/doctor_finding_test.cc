#include <gtest/gtest.h>

#include "doctor/finding.h"

namespace forktail::doctor {
namespace {

std::vector<Finding> two_findings() {
  return {make_finding(Kind::connection, "10.0.0.7:5432", "one connection", "fd 7"),
          make_finding(Kind::file, "/tmp/a[1].log", "one file", "fd 8")};
}

TEST(DoctorFinding, BearsTheHarmAndTheCureOfItsKind) {
  const Finding finding = two_findings()[0];
  EXPECT_EQ(finding.name(), "connection 10.0.0.7:5432");
  EXPECT_TRUE(finding.counts());
  EXPECT_FALSE(finding.why.empty());
  EXPECT_FALSE(finding.cure.empty());
}

TEST(DoctorFinding, AKindThatDoesNoHarmDoesNotCount) {
  EXPECT_FALSE(make_finding(Kind::shared_mapping, "/dev/shm/x", "", "").counts());
}

TEST(DoctorFinding, EveryKindHasAWordOfItsOwn) {
  std::vector<std::string_view> words;
  for (int i = 0; i < static_cast<int>(Kind::count_); ++i) {
    const KindFacts& facts = facts_of(static_cast<Kind>(i));
    EXPECT_EQ(std::count(words.begin(), words.end(), facts.word), 0) << facts.word;
    EXPECT_FALSE(facts.why.empty()) << facts.word;
    EXPECT_FALSE(facts.cure.empty()) << facts.word;
    words.push_back(facts.word);
  }
}

TEST(DoctorFinding, IsDeclaredByItsNameAndByAPattern) {
  auto findings = two_findings();
  EXPECT_EQ(declare(findings, "file /tmp/a[1].log", "meant"), 1);
  EXPECT_EQ(findings[1].declared, "meant");
  EXPECT_EQ(declare(findings, "connection 10.0.*", "pool"), 1);
  EXPECT_EQ(findings[0].declared, "pool");
  EXPECT_EQ(declare(findings, "connection", "half a name"), 0);
}

TEST(DoctorFinding, AFileOfExpectedNamesHasOneALine) {
  EXPECT_EQ(expected_names("# known\n\n  file /a b \r\nthread worker"),
            (std::vector<std::string>{"file /a b", "thread worker"}));
  EXPECT_TRUE(expected_names("").empty());
}

}  // namespace
}  // namespace forktail::doctor
