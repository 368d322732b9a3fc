#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "doctor/purpose.h"
#include "doctor/shared_files.h"

namespace forktail::doctor {
namespace {

// No process has these pids.
constexpr pid_t kMaster = 1 << 29;
constexpr pid_t kOne = kMaster + 1;
constexpr pid_t kTwo = kMaster + 2;
constexpr pid_t kHelper = kMaster + 3;

Family family(Server server) {
  Family result;
  result.server = server;
  result.master.pid = result.loader.pid = kMaster;
  for (const pid_t pid : {kOne, kTwo}) {
    result.workers.emplace_back().pid = pid;
  }
  result.master.program = "1:1";
  result.others.emplace_back().pid = kHelper;
  result.others.back().program = "1:2";
  return result;
}

OpenFile file(std::string link, mode_t mode, unsigned flags, std::vector<pid_t> holders, int number,
              std::uint64_t inode = 0) {
  OpenFile result;
  result.link = std::move(link);
  result.mode = mode;
  result.flags = flags;
  result.inode = inode;
  for (const pid_t pid : holders) {
    result.holders[pid] = {number};
  }
  return result;
}

const std::vector<pid_t> kAll{kMaster, kOne, kTwo};

// The names of what is found in these files.
std::vector<std::string> found(Server server, const std::vector<OpenFile>& files,
                               const std::map<std::uint64_t, SocketFacts>& sockets = {}) {
  const Family all = family(server);
  std::vector<std::string> names;
  for (const Finding& finding : examine_files(all, files, SocketTable(sockets), {}).findings) {
    names.push_back(finding.name());
  }
  return names;
}

using Names = std::vector<std::string>;

std::vector<OpenFile> pipe_pair(std::uint64_t inode, int number, unsigned flags) {
  return {file("pipe:[1]", S_IFIFO, flags | O_RDONLY, kAll, number, inode),
          file("pipe:[1]", S_IFIFO, flags | O_WRONLY, kAll, number + 1, inode)};
}

TEST(DoctorPurpose, WhatEveryServerSharesIsNoFinding) {
  SocketFacts listener;
  listener.listening = true;
  EXPECT_EQ(found(Server::unknown,
                  {file("socket:[7]", S_IFSOCK, O_RDWR, kAll, 3, 7),
                   file("/dev/null", S_IFCHR, O_RDWR, kAll, 4),
                   file("/var/log/x", S_IFREG, O_WRONLY | O_APPEND, kAll, 5),
                   file("/tmp/output", S_IFREG, O_WRONLY, kAll, 1),
                   file("/srv", S_IFDIR, O_RDONLY, kAll, 6)},
                  {{7, listener}}),
            Names());
}

TEST(DoctorPurpose, WhatOneWorkerHasIsNoFinding) {
  EXPECT_EQ(found(Server::unknown, {file("/tmp/log", S_IFREG, O_WRONLY, {kMaster, kOne}, 5)}),
            Names());
}

TEST(DoctorPurpose, AChannelToTheMasterIsTheServersAndOneToAHelperIsNot) {
  const auto read_end = file("pipe:[1]", S_IFIFO, O_RDONLY, kAll, 5, 1);
  EXPECT_EQ(found(Server::uwsgi, {read_end, file("pipe:[1]", S_IFIFO, O_WRONLY, {kMaster}, 6, 1)}),
            Names());
  const auto of_helper = file("pipe:[1]", S_IFIFO, O_WRONLY, {kHelper}, 6, 1);
  EXPECT_EQ(found(Server::uwsgi, {read_end, of_helper}), Names({"pipe"}));
  EXPECT_EQ(found(Server::apache, {read_end, of_helper}), Names());  // Apache's piped logs
}

TEST(DoctorPurpose, OneServersRowIsNoRowOfAnother) {
  const auto sign_of_life =
      file("/tmp/wgunicorn-x (deleted)", S_IFREG, O_RDWR | O_CLOEXEC, kAll, 6);
  const auto lock = file("/tmp/.ZendSem.x (deleted)", S_IFREG, O_RDWR | O_CLOEXEC, kAll, 3);
  EXPECT_EQ(found(Server::gunicorn, {sign_of_life, lock}), Names({"deleted_file /tmp/"}));
  EXPECT_EQ(found(Server::php_fpm, {lock}), Names());
  EXPECT_EQ(found(Server::apache, {lock}), Names());
  EXPECT_EQ(found(Server::uwsgi, {sign_of_life}), Names({"deleted_file /tmp/"}));
}

TEST(DoctorPurpose, GunicornHasOnePipeToItselfAndTheNextIsTheApplications) {
  auto files = pipe_pair(1, 3, O_NONBLOCK | O_CLOEXEC);
  EXPECT_EQ(found(Server::gunicorn, files), Names());
  EXPECT_EQ(found(Server::puma, files), Names({"pipe"}));
  const auto second = pipe_pair(2, 7, O_NONBLOCK | O_CLOEXEC);
  files.insert(files.end(), second.begin(), second.end());
  EXPECT_EQ(found(Server::gunicorn, files), Names({"pipe"}));
  EXPECT_EQ(found(Server::gunicorn, pipe_pair(1, 3, 0)), Names({"pipe"}));
}

TEST(DoctorPurpose, GunicornsControlLoopIsItsOwnWhereItHasAControlSocket) {
  SocketFacts control;
  control.is_unix = control.listening = true;
  control.local = "/run/gunicorn.ctl";
  SocketFacts pair;
  pair.is_unix = pair.connected = true;
  pair.peer_inode = 22;
  SocketFacts other = pair;
  other.peer_inode = 21;
  const std::vector<OpenFile> files{file("socket:[19]", S_IFSOCK, O_RDWR, kAll, 5, 19),
                                    file("socket:[20]", S_IFSOCK, O_RDWR, {kMaster}, 11, 20),
                                    file("anon_inode:[eventpoll]", 0, O_RDWR | O_CLOEXEC, kAll, 3),
                                    file("anon_inode:[eventpoll]", 0, O_RDWR | O_CLOEXEC, kAll, 7),
                                    file("socket:[21]", S_IFSOCK, O_RDWR | O_CLOEXEC, kAll, 8, 21),
                                    file("socket:[22]", S_IFSOCK, O_RDWR | O_CLOEXEC, kAll, 9, 22)};
  SocketFacts listener;
  listener.listening = true;
  // The one that was made before the listener is the application's.
  EXPECT_EQ(
      found(Server::gunicorn, files, {{19, listener}, {20, control}, {21, pair}, {22, other}}),
      Names({"epoll"}));
  EXPECT_EQ(found(Server::gunicorn, files, {{19, listener}, {21, pair}, {22, other}}),
            Names({"epoll", "socket pair"}));
}

TEST(DoctorPurpose, PhpFpmKeepsItsStandardErrorAndWhatWasOpenedBeforeIsNot) {
  const auto log = file("/fpm.log", S_IFREG, O_WRONLY | O_APPEND | O_CLOEXEC, {kMaster}, 9);
  const auto trap = file("/trap.log", S_IFREG, O_WRONLY, kAll, 4);
  const auto kept = file("/output", S_IFREG, O_WRONLY, kAll, 8);
  EXPECT_EQ(found(Server::php_fpm, {trap, kept, log}), Names({"file /trap.log"}));
  EXPECT_EQ(found(Server::php_fpm, {kept}), Names({"file /output"}));
}

TEST(DoctorPurpose, WhatForktailsMasterHasIsForktailsOwn) {
  const auto own = file("anon_inode:[eventpoll]", 0, O_RDWR | O_CLOEXEC, kAll, 8);
  const auto of_application = file("anon_inode:[eventpoll]", 0, O_RDWR, {kOne, kTwo}, 50);
  EXPECT_EQ(found(Server::forktail, {own}), Names());
  EXPECT_EQ(found(Server::forktail, {own, of_application}), Names({"epoll"}));
}

TEST(DoctorPurpose, ManyConnectionsToOnePeerAreOneFinding) {
  SocketFacts connection;
  connection.connected = true;
  connection.peer = "10.0.0.7:5432";
  const std::vector<OpenFile> files{file("socket:[1]", S_IFSOCK, O_RDWR, kAll, 7, 1),
                                    file("socket:[2]", S_IFSOCK, O_RDWR, kAll, 8, 2)};
  const Family all = family(Server::uwsgi);
  const auto findings =
      examine_files(all, files, SocketTable({{1, connection}, {2, connection}}), {}).findings;
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].name(), "connection 10.0.0.7:5432");
  EXPECT_NE(findings[0].what.find("(2 of them)"), std::string::npos);
}

TEST(DoctorPurpose, DatagramsAndFilesForReadingAreToldAndDoNotCount) {
  SocketFacts udp;
  udp.datagrams = udp.connected = true;
  udp.peer = "127.0.0.1:8125";
  const Family all = family(Server::uwsgi);
  const auto findings = examine_files(all,
                                      {file("socket:[1]", S_IFSOCK, O_RDWR, kAll, 7, 1),
                                       file("/usr/share/geo.db", S_IFREG, O_RDONLY, kAll, 8)},
                                      SocketTable({{1, udp}}), {})
                            .findings;
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_FALSE(findings[0].counts());
  EXPECT_FALSE(findings[1].counts());
}

}  // namespace
}  // namespace forktail::doctor
