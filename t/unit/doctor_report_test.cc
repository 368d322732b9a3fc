#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "doctor/report.h"

namespace forktail::doctor {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Report with_findings() {
  Report report;
  report.subject = "master 7";
  report.findings = {
      make_finding(Kind::connection, "127.0.0.1:5432", "one connection in 4 workers", "fd 7"),
      make_finding(Kind::thread, "pool", "the thread pool is in no worker", "tid 9"),
      make_finding(Kind::shared_mapping, "/dev/zero", "a mapping", "4096 bytes")};
  return report;
}

TEST(DoctorReport, NothingFoundIsSafe) {
  const Report report;
  EXPECT_EQ(exit_code(report), 0);
  EXPECT_THAT(as_text(report), EndsWith("\npreload is safe\n"));
}

TEST(DoctorReport, TheLastLineCountsWhatIsToBeMended) {
  Report report = with_findings();
  EXPECT_EQ(exit_code(report), 1);
  EXPECT_THAT(as_text(report), EndsWith("\nuse lazy, or mend these 2\n"));
  declare(report.findings, "thread *", "the library starts it again");
  EXPECT_THAT(as_text(report), EndsWith("\nuse lazy, or mend these 1\n"));
  EXPECT_THAT(as_text(report), HasSubstr("declared  the library starts it again"));
  declare(report.findings, "connection *", "never used");
  EXPECT_EQ(exit_code(report), 0);
}

TEST(DoctorReport, TheSecondLineTellsWhatThereIsToMend) {
  Report report = with_findings();
  report.findings.push_back(make_finding(Kind::connection, "127.0.0.1:6379", "another", "fd 8"));
  EXPECT_THAT(as_text(report), StartsWith("master 7\n3 to mend: connection (2), thread\n"));
  report.findings.clear();
  EXPECT_THAT(as_text(report), StartsWith("master 7\n\npreload"));
}

TEST(DoctorReport, HarmAndCureOfAKindAreToldOnce) {
  Report report = with_findings();
  report.findings.push_back(make_finding(Kind::connection, "127.0.0.1:6379", "another", "fd 8"));
  const std::string text = as_text(report);
  EXPECT_THAT(text, HasSubstr("  3. another\n     evidence  fd 8\n     as in 1   harm and cure\n"
                              "     name      connection 127.0.0.1:6379\n"));
  EXPECT_EQ(text.find(report.findings[0].cure), text.rfind(report.findings[0].cure));
}

TEST(DoctorReport, WhatCouldNotBeExaminedIsNotSafe) {
  Report report;
  report.failures = {"no such process"};
  EXPECT_EQ(exit_code(report), 2);
  EXPECT_THAT(as_text(report), HasSubstr("failed: no such process"));
  EXPECT_THAT(as_text(report), Not(HasSubstr("preload is safe")));
}

TEST(DoctorReport, WhatIsExaminedCanNotForgeALine) {
  Report report;
  report.findings = {make_finding(Kind::thread, "x\npreload is safe", "a thread \x1b[2J", "")};
  EXPECT_THAT(as_text(report), Not(HasSubstr("\npreload is safe\n")));
  EXPECT_THAT(as_text(report), Not(HasSubstr("\x1b")));
}

TEST(DoctorReport, TheJsonHasAllThatTheTextHas) {
  Report report = with_findings();
  report.findings[0].maker = "libpq.so.5";
  report.tables = {
      {"memory", {"process", "pss_kib"}, {{std::string("worker 8"), std::int64_t{9}}}}};
  report.notes = {"not probed"};
  const auto json = nlohmann::json::parse(as_json(report));
  EXPECT_EQ(json["verdict"], "use lazy, or mend these 2");
  EXPECT_EQ(json["exit_code"], 1);
  EXPECT_EQ(json["count"], 2);
  EXPECT_EQ(json["findings"][0]["kind"], "connection");
  EXPECT_EQ(json["findings"][0]["name"], "connection 127.0.0.1:5432");
  EXPECT_EQ(json["findings"][0]["maker"], "libpq.so.5");
  EXPECT_TRUE(json["findings"][1]["maker"].is_null());
  EXPECT_TRUE(json["findings"][1]["declared"].is_null());
  EXPECT_FALSE(json["findings"][2]["harm"]);
  EXPECT_EQ(json["tables"]["memory"][0]["pss_kib"], 9);
  EXPECT_EQ(json["notes"][0], "not probed");
}

TEST(DoctorReport, JsonTakesBytesThatAreNoText) {
  Report report;
  report.findings = {make_finding(Kind::file, "/tmp/\xff", "a file", "")};
  EXPECT_NO_THROW(EXPECT_FALSE(nlohmann::json::parse(as_json(report)).empty()));
}

}  // namespace
}  // namespace forktail::doctor
