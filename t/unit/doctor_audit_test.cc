// The static audit, in a process that makes the traps itself, and what names their makers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <thread>

#include "doctor/audit/audit.h"
#include "doctor/audit/cures.h"

namespace forktail::doctor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> names(const std::vector<AuditFinding>& findings) {
  std::vector<std::string> all;
  for (const AuditFinding& found : findings) {
    all.push_back(found.finding.name());
  }
  return all;
}

TEST(DoctorAudit, FindsNothingWhereNothingHasChanged) {
  const Snapshot before = take_snapshot();
  EXPECT_THAT(names(compare(before, take_snapshot())), IsEmpty());
}

TEST(DoctorAudit, FindsWhatIsNewAndForgetsWhatIsGone) {
  const Snapshot before = take_snapshot();
  const int made = epoll_create1(EPOLL_CLOEXEC);
  EXPECT_THAT(names(compare(before, take_snapshot())), ElementsAre("epoll"));
  close(made);
  EXPECT_THAT(names(compare(before, take_snapshot())), IsEmpty());
}

TEST(DoctorAudit, SeesThatANumberStandsForAnotherFile) {
  const int first = epoll_create1(EPOLL_CLOEXEC);
  const Snapshot before = take_snapshot();
  const int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  dup2(other, first);
  close(other);
  EXPECT_THAT(names(compare(before, take_snapshot())), ElementsAre("socket 0.0.0.0:0"));
  close(first);
}

TEST(DoctorAudit, ReadingTheRandomNumbersDoesNotChangeThem) {
  srandom(1);
  const long expected[] = {random(), random()};
  srandom(1);
  EXPECT_EQ(random(), expected[0]);
  take_snapshot();
  EXPECT_EQ(random(), expected[1]);
}

TEST(DoctorAudit, ASmallStateOfRandomNumbersIsReadToItsEndAlone) {
  char* small = new char[8];  // the sanitizer watches its end
  char* before = initstate(1, small, 8);
  const Snapshot snapshot = take_snapshot();
  random();
  EXPECT_THAT(names(compare(snapshot, take_snapshot())), ElementsAre("libc_random rand()"));
  setstate(before);
  delete[] small;
}

TEST(DoctorAudit, AStreamThatIsLockedElsewhereIsNotWaitedFor) {
  FILE* stream = tmpfile();
  flockfile(stream);
  std::vector<std::string> found;
  std::thread([&] {
    const Snapshot before = take_snapshot();
    found = names(compare(before, take_snapshot()));
  }).join();
  funlockfile(stream);
  fclose(stream);
  EXPECT_THAT(found, IsEmpty());
}

TEST(DoctorAudit, AnAuditComesBackAsItWasWritten) {
  AuditFinding found{make_finding(Kind::epoll, "", "one epoll", "descriptor 7"), {}};
  found.finding.declared = "meant";
  found.stack = {{"/lib/libx.so", 0x1234, "make"}};
  const Audit read = read_audit(write_audit({found}));
  ASSERT_EQ(read.findings.size(), 1U);
  EXPECT_EQ(read.findings[0].finding.name(), "epoll");
  EXPECT_EQ(read.findings[0].finding.declared, "meant");
  ASSERT_EQ(read.findings[0].stack.size(), 1U);
  EXPECT_EQ(read.findings[0].stack[0].object, "/lib/libx.so");
  EXPECT_EQ(read.findings[0].stack[0].offset, 0x1234U);
}

TEST(DoctorAudit, WhatIsNoAuditIsRefused) {
  EXPECT_THROW(read_audit(""), std::runtime_error);
  EXPECT_THROW(read_audit("[]"), std::runtime_error);
  EXPECT_THROW(read_audit(R"({"findings":[{"kind":200}],"declarations":[]})"), std::runtime_error);
}

TEST(DoctorCures, KnowALibraryByItsObjectItsFunctionsAndItsThreads) {
  AuditFinding socket_of_libpq{make_finding(Kind::connection, "10.0.0.7:5432", "", ""), {}};
  EXPECT_EQ(known_cure(socket_of_libpq), nullptr);
  socket_of_libpq.stack = {{"/usr/lib/libpq.so.5", 1, ""}, {"/srv/libshop.so", 2, ""}};
  ASSERT_NE(known_cure(socket_of_libpq), nullptr);
  EXPECT_EQ(known_cure(socket_of_libpq)->library, "libpq");

  AuditFinding linked_in{make_finding(Kind::connection, "10.0.0.7:6379", "", ""), {}};
  linked_in.stack = {{"/srv/libshop.so", 1, "redisConnectWithTimeout"}};
  ASSERT_NE(known_cure(linked_in), nullptr);
  EXPECT_EQ(known_cure(linked_in)->library, "hiredis");

  const AuditFinding thread{make_finding(Kind::thread, "rdk:main", "", ""), {}};
  ASSERT_NE(known_cure(thread), nullptr);
  EXPECT_EQ(known_cure(thread)->library, "librdkafka");
  EXPECT_THAT(cure_in_words(*known_cure(thread)), HasSubstr("https://"));
}

TEST(DoctorCures, SayNothingOfWhatNoConnectionOrThreadIs) {
  AuditFinding variable{make_finding(Kind::environment, "PGHOST", "", ""), {}};
  variable.stack = {{"/usr/lib/libpq.so.5", 1, ""}};
  EXPECT_EQ(known_cure(variable), nullptr);
}

}  // namespace
}  // namespace forktail::doctor
