#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "doctor/twin.h"

namespace forktail::doctor {
namespace {

constexpr double kThen = 1795847000.5;

// The bodies of each process, in their order.
using Bodies = std::vector<std::vector<std::string>>;

std::vector<std::vector<Answer>> answered(const Bodies& bodies) {
  std::vector<std::vector<Answer>> answers;
  for (const auto& rounds : bodies) {
    auto& process = answers.emplace_back();
    for (const std::string& body : rounds) {
      Answer answer;
      answer.status = 200;
      answer.body = body;
      answer.asked = kThen;
      answer.answered = kThen + 0.01;
      process.push_back(answer);
    }
  }
  return answers;
}

std::vector<Finding> found(const Bodies& bodies, const TwinFacts& facts = {}) {
  return compare_twins("GET /", answered(bodies), facts);
}

std::vector<std::string> names(const std::vector<Finding>& findings) {
  std::vector<std::string> all;
  for (const Finding& finding : findings) {
    all.push_back(finding.name());
  }
  return all;
}

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DoctorTwin, EqualRandomNumbersAreFoundWithTheirBits) {
  const auto findings = found(
      {{"random 3730949787", "random 1757280088"}, {"random 3730949787", "random 1757280088"}});
  EXPECT_THAT(names(findings), ElementsAre("random GET / body random"));
  EXPECT_THAT(findings.at(0).evidence, HasSubstr("3730949787, 1757280088 in each of 2 workers"));
  EXPECT_THAT(findings[0].evidence, HasSubstr("at most 66 bits"));
}

Answer answer_of(const std::string& body) { return answered({{body}})[0][0]; }

TEST(DoctorTwin, WhatIsAnotherWhenItIsLoadedAgainWasMadeAtTheLoad) {
  const auto answers = answered({{"boot 7f3a version 2.1.0", "boot 7f3a version 2.1.0"},
                                 {"boot 7f3a version 2.1.0", "boot 7f3a version 2.1.0"}});
  EXPECT_TRUE(may_hold_load_values(answers, {}));
  const auto findings = compare_loads("GET /", answers, answer_of("boot 91c4 version 2.1.0"), {});
  EXPECT_THAT(names(findings), ElementsAre("load_value GET / body boot"));
  EXPECT_FALSE(findings.at(0).counts());
  EXPECT_THAT(compare_loads("GET /", answers, answer_of("boot 7f3a version 2.1.0"), {}), IsEmpty());
}

TEST(DoctorTwin, WordsAndWhatChangesAreOfNoLoad) {
  EXPECT_FALSE(
      may_hold_load_values(answered({{"all well", "all well"}, {"all well", "all well"}}), {}));
  EXPECT_FALSE(may_hold_load_values(answered({{"n 4711", "n 4712"}, {"n 4713", "n 4714"}}), {}));
  TwinFacts facts;
  facts.known = {"req-1234"};
  EXPECT_FALSE(
      may_hold_load_values(answered({{"req-1234", "req-1234"}, {"req-1234", "req-1234"}}), facts));
}

TEST(DoctorTwin, TheLoadersPidIsToldAndCountsAgainstNobody) {
  TwinFacts facts;
  facts.loader = 18937;
  const auto findings = found({{"by 18937", "by 18937"}, {"by 18937", "by 18937"}}, facts);
  EXPECT_THAT(names(findings), ElementsAre("load_value GET / body by"));
  EXPECT_FALSE(findings.at(0).counts());
}

TEST(DoctorTwin, OneGeneratorThatHasRunFurtherInOneWorkerIsFound) {
  EXPECT_THAT(
      names(found({{"id 9f8e7d6c5b", "id 0a1b2c3d4e"}, {"id 0a1b2c3d4e", "id 5566778899"}})),
      ElementsAre("random GET / body id"));
}

TEST(DoctorTwin, DifferentRandomNumbersAreNot) {
  EXPECT_THAT(found({{"random 3730949787", "random 1757280088"},
                     {"random 2118421993", "random 8442185155"}}),
              IsEmpty());
}

TEST(DoctorTwin, AFewEqualBitsMayBeChance) {
  EXPECT_THAT(found({{"dice 3", "dice 6"}, {"dice 3", "dice 6"}}), IsEmpty());
  EXPECT_THAT(found({{"ms 0.3", "ms 0.6"}, {"ms 0.3", "ms 0.6"}}), IsEmpty());
}

TEST(DoctorTwin, ManyEqualThrowsOfADiceAreFound) {
  EXPECT_THAT(names(found({{"dice 3", "dice 6", "dice 1"},
                           {"dice 3", "dice 6", "dice 1"},
                           {"dice 3", "dice 6", "dice 1"},
                           {"dice 3", "dice 6", "dice 1"}})),
              ElementsAre("random GET / body dice"));
}

TEST(DoctorTwin, CountersAreFoundAlsoWhereOneIsAhead) {
  EXPECT_THAT(names(found({{"n 1", "n 2", "n 3"}, {"n 1", "n 2", "n 3"}})),
              ElementsAre("counter GET / body n"));
  const auto ahead = found({{"n 1", "n 2", "n 3"}, {"n 3", "n 4", "n 5"}});
  EXPECT_THAT(names(ahead), ElementsAre("counter GET / body n"));
  EXPECT_EQ(ahead.at(0).evidence, "3 came from more than one worker");
}

TEST(DoctorTwin, ACounterThatAllShareIsNot) {
  EXPECT_THAT(found({{"n 1", "n 2", "n 3"}, {"n 4", "n 5", "n 6"}}), IsEmpty());
}

TEST(DoctorTwin, ConstantsAndEachWorkersOwnValuesAreNot) {
  EXPECT_THAT(found({{"pid 11 v 2.1", "pid 11 v 2.1"}, {"pid 12 v 2.1", "pid 12 v 2.1"}}),
              IsEmpty());
}

TEST(DoctorTwin, TheTimeOfNowIsNot) {
  EXPECT_THAT(found({{"at 1795847000", "at 1795847001"}, {"at 1795847000", "at 1795847001"}}),
              IsEmpty());
  EXPECT_THAT(found({{"at 06:23:20", "at 06:23:21"}, {"at 06:23:20", "at 06:23:21"}}), IsEmpty());
}

TEST(DoctorTwin, AnAddressIsFoundWhereItIsMappedInAllWorkers) {
  TwinFacts facts;
  facts.memory = {{0x7f0000000000, 0x7f0000001000}};
  const Bodies bodies{{"at 0x7f0000000010", "at 0x7f0000000010"},
                      {"at 0x7f0000000010", "at 0x7f0000000010"}};
  EXPECT_THAT(names(found(bodies, facts)), ElementsAre("address GET / body at"));
  facts.memory = {{0x7f0000001000, 0x7f0000002000}};
  EXPECT_THAT(found(bodies, facts), IsEmpty());
}

TEST(DoctorTwin, ATimeOfLoadingIsFoundWhenItIsSurelyBeforeTheFork) {
  TwinFacts facts;
  facts.load_began = kThen - 60;
  facts.load_ended = kThen - 50;
  const auto all = [&](const std::string& body) {
    return names(found({{body, body}, {body, body}}, facts));
  };
  EXPECT_THAT(all("loaded 1795846945.25"), ElementsAre("load_time GET / body loaded"));
  EXPECT_THAT(all("loaded 1795846945"), ElementsAre("load_time GET / body loaded"));
  EXPECT_THAT(all("started 1795846950"), IsEmpty());   // perhaps after the fork
  EXPECT_THAT(all("released 1795000000"), IsEmpty());  // before the server was started
  EXPECT_THAT(all("now 1795847000"), IsEmpty());
}

TEST(DoctorTwin, WhatWasSentIsNot) {
  TwinFacts facts;
  facts.known = {"sent-0000000001", "sent-0000000002"};
  EXPECT_THAT(found({{"id sent-0000000001", "id sent-0000000002"},
                     {"id sent-0000000001", "id sent-0000000002"}},
                    facts),
              IsEmpty());
}

TEST(DoctorTwin, HeadersAndLogLinesAreLookedAtAndTheDateIsNot) {
  auto answers = answered({{"", ""}, {"", ""}});
  for (auto& rounds : answers) {
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      const std::string token = i == 0 ? "9f8e7d6c5b4a" : "0a1b2c3d4e5f";
      rounds[i].headers = {{"Set-Cookie", "a=1"},
                           {"Set-Cookie", "session=" + token},
                           {"Date", "Sat, 28 Nov 2026 06:23:2" + std::to_string(i) + " GMT"}};
      rounds[i].log = {"begin", "drew " + token};
    }
  }
  EXPECT_THAT(
      names(compare_twins("GET /", answers, {})),
      ElementsAre("random GET / header set-cookie session", "random GET / log line 2 drew"));
}

TEST(DoctorTwin, OneProcessOrOneRoundTellsNothing) {
  EXPECT_THAT(found({{"random 3730949787", "random 1757280088"}}), IsEmpty());
  EXPECT_THAT(found({{"random 3730949787"}, {"random 3730949787"}}), IsEmpty());
  EXPECT_THAT(found({}), IsEmpty());
}

}  // namespace
}  // namespace forktail::doctor
