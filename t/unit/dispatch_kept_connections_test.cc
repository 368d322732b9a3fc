// The master's part in dispatch: what dead workers leave, new ones need, and idle peers get.
#include <gtest/gtest.h>

#include "dispatch_support.h"
#include "server/dispatch/kept_connections.h"

namespace forktail::server {
namespace {

using KeptConnectionsTest = DispatchTest;

TEST_F(KeptConnectionsTest, ANewWorkerGetsAConnectionThatIsKeptAlreadyWhenItIsToServeIt) {
  start(1);
  const Descriptor client = kept_by(1);
  start(2);
  worker(1).kill();
  send_text(client.get(), "hello");
  EXPECT_EQ(next_with_the_masters_help(2), "hello");
}

TEST_F(KeptConnectionsTest, ANewWorkerDoesNotGetMailOfItsPredecessor) {
  start(1);
  ASSERT_TRUE(share().mailboxes.post(2, {MailKind::opened, {5, 1}}));
  kept_connections_->admit(2);
  Mail mail;
  EXPECT_EQ(share().mailboxes.take(2, mail), Mailboxes::Taken::nothing);
}

// Numbers and lengths are whatever a process wants them to be that has gone astray.
TEST_F(KeptConnectionsTest, MailThatLiesIsTheSendersEnd) {
  start(1);
  const Descriptor client = kept_by(1);
  ASSERT_EQ(held(), 1);
  const KeptId id = kept().current(0);
  const Mail lies[] = {{MailKind::opened, {8, 1}},
                       {MailKind::opened, {3, 0}},
                       {MailKind::opened, {3, 2}},
                       {MailKind::closed, {0xffffffff, 1}},
                       {MailKind::wanted, {8, 1}, 1},
                       {MailKind::wanted, id, 0},
                       {MailKind::wanted, id, kSeats + 1},
                       {MailKind::wanted, id, -1},
                       {MailKind::abandoned, {1'000'000, 0}},
                       {static_cast<MailKind>(17), id}};
  for (const Mail& lie : lies) {
    ASSERT_TRUE(share().mailboxes.post(0, lie));
    kept_connections_->read_mail();
    EXPECT_EQ(kept_connections_->take_liars(), std::vector{getpid()});
  }
  const Descriptor file(open("/dev/null", O_RDONLY));
  ASSERT_TRUE(share().mailboxes.post(0, {MailKind::opened, id}, file.get()));
  kept_connections_->read_mail();
  EXPECT_EQ(kept_connections_->take_liars(), std::vector{getpid()}) << "that is no connection";
  EXPECT_EQ(held(), 1);
  send_text(client.get(), "still here");
  EXPECT_EQ(worker(1).next(), "still here");
}

TEST_F(KeptConnectionsTest, AMailboxThatWasShutDownIsReadNoMore) {
  start(1);
  shutdown(share().mailboxes.incoming(0), SHUT_RDWR);
  kept_connections_->read_mail();
  EXPECT_EQ(kept_connections_->incoming(), -1);
}

// A table full of lies: nothing outside of it is touched.
TEST_F(KeptConnectionsTest, WhateverStandsInTheTableTheMasterGoesOn) {
  start(1);
  const Descriptor client = kept_by(1);
  ASSERT_EQ(held(), 1);
  SharedMemory scribbled("the table", 64, Descriptor(dup(kept().memfd())));
  struct stat file {};
  ASSERT_EQ(fstat(kept().memfd(), &file), 0);
  const std::vector<char> bytes(static_cast<std::size_t>(file.st_size), '\xff');
  ASSERT_EQ(pwrite(kept().memfd(), bytes.data(), bytes.size(), 0), file.st_size);
  kept_connections_->resume(1, 1, KeptConnections::Clock::now() + 1h,
                            [](int, bool) { return true; });
  kept_connections_->give_back_idle();
  kept_connections_->act_on_deadlines();
  kept_connections_->dismiss(1);
  EXPECT_TRUE(run_until([&] { return held() == 0; }));
}

// Where a worker can be when it is killed, and what becomes of its connection.
struct Step {
  const char* name;
  std::vector<const char*> orders;  // after the connection was kept and has a request in it
  bool survives;                    // the next idle worker serves the request
  bool answered = false;
};

class KilledWorker : public DispatchTest, public ::testing::WithParamInterface<Step> {};

TEST_P(KilledWorker, LeavesNothingOwnedOrOpen) {
  start(1);
  start(2);
  const Descriptor client = kept_by(2);
  send_text(client.get(), "request");
  for (const char* order : GetParam().orders) {
    worker(1).ask(order);
  }
  kill(1);
  if (GetParam().survives) {
    EXPECT_EQ(next_with_the_masters_help(2), "request");
    worker(2).ask("answer");
    worker(2).ask("drop");
  }
  if (GetParam().survives || GetParam().answered) {
    EXPECT_EQ(receive_text(client.get()), "answer");
  }
  EXPECT_EQ(receive_text(client.get()), "(end)");
  EXPECT_TRUE(all_free());
  EXPECT_EQ(held(), 0);
  worker(2).ask("read mail");
  EXPECT_EQ(worker(2).ask("count"), "0");
  const Descriptor another = listener_.connect();
  send_text(another.get(), "another");
  EXPECT_EQ(worker(2).next(), "another") << "the listener is armed";
}

INSTANTIATE_TEST_SUITE_P(At, KilledWorker,
                         ::testing::Values(Step{"Idle", {}, true},
                                           Step{"TheEvent", {"take event"}, true},
                                           Step{"TheClaim", {"next"}, false},
                                           Step{"TheAnswer", {"next", "answer"}, false, true},
                                           Step{"TheDrop", {"next", "drop"}, false},
                                           Step{"TheSlot", {"next", "allocate", "drop"}, false}),
                         [](const auto& step) { return step.param.name; });

// The same for a connection that the worker has just accepted. Without a request in it, its end is
// all that the peer can see.
class KilledAcceptor : public DispatchTest, public ::testing::WithParamInterface<Step> {};

TEST_P(KilledAcceptor, LeavesNothingOwnedOrOpen) {
  start(1);
  start(2);
  const Descriptor client = listener_.connect();
  for (const char* order : GetParam().orders) {
    worker(1).ask(order);
  }
  kill(1);
  if (GetParam().survives) {
    send_text(client.get(), "request");
    EXPECT_EQ(next_with_the_masters_help(2), "request");
    worker(2).ask("drop");
  }
  EXPECT_EQ(receive_text(client.get()), "(end)");
  EXPECT_TRUE(all_free());
  EXPECT_EQ(held(), 0);
  worker(2).ask("read mail");
  EXPECT_EQ(worker(2).ask("count"), "0");
  const Descriptor another = listener_.connect();
  send_text(another.get(), "another");
  EXPECT_EQ(worker(2).next(), "another") << "the listener is armed";
}

INSTANTIATE_TEST_SUITE_P(At, KilledAcceptor,
                         ::testing::Values(Step{"TheEvent", {"take event"}, true},
                                           Step{"TheAccept", {"next"}, false},
                                           Step{"ThePublishing", {"next", "publish"}, false},
                                           Step{"TheRelease", {"next", "publish", "release"}, true},
                                           Step{"TheKeeping", {"next", "publish", "keep"}, true}),
                         [](const auto& step) { return step.param.name; });

// By which the master decides whether a dead worker's connection can be gone on with.
struct Asked {
  int thread = -1;
  bool waiting = false;
};

TEST_F(KeptConnectionsTest, AConnectionThatStandsBetweenTwoRequestsGoesToAnotherWorker) {
  start(1);
  start(2);
  const Descriptor client = kept_by(2);
  send_text(client.get(), "request");
  EXPECT_EQ(worker(1).next(), "request");
  worker(1).ask("answer");
  EXPECT_EQ(receive_text(client.get()), "answer");
  send_text(client.get(), "behind it");
  worker(1).kill();
  Asked asked;
  EXPECT_EQ(kept_connections_->resume(1, 1, KeptConnections::Clock::now() + 1h,
                                      [&](int thread, bool waiting) {
                                        asked = {thread, waiting};
                                        return true;
                                      }),
            std::vector{true});
  kept_connections_->dismiss(1);
  EXPECT_EQ(asked.thread, 0);
  EXPECT_TRUE(asked.waiting);
  EXPECT_EQ(worker(2).next(), "behind it");
}

TEST_F(KeptConnectionsTest, AConnectionInWhichARequestDiedIsEnded) {
  start(1);
  const Descriptor client = kept_by(1);
  send_text(client.get(), "request");
  EXPECT_EQ(worker(1).next(), "request");
  worker(1).kill();
  bool waiting = true;
  EXPECT_EQ(kept_connections_->resume(1, 2, KeptConnections::Clock::now() + 1h,
                                      [&](int /*thread*/, bool more) {
                                        waiting = more;
                                        return false;
                                      }),
            (std::vector{false, false}));
  kept_connections_->dismiss(1);
  EXPECT_FALSE(waiting);
  EXPECT_EQ(receive_text(client.get()), "(end)");
}

TEST_F(KeptConnectionsTest, AConnectionThatWasGivenBackIsEndedAtItsTime) {
  start(1);
  const Descriptor client = kept_by(1);
  send_text(client.get(), "request");
  EXPECT_EQ(worker(1).next(), "request");
  worker(1).kill();
  kept_connections_->resume(1, 1, KeptConnections::Clock::now() + 1ms,
                            [](int, bool) { return true; });
  kept_connections_->dismiss(1);
  EXPECT_EQ(slots_of(KeptTable::kIdle), 1);
  ASSERT_TRUE(run_until([&] { return all_free(); }));
  EXPECT_EQ(receive_text(client.get()), "(end)");
}

TEST_F(KeptConnectionsTest, AnIdleConnectionIsEndedAtItsTime) {
  keepalive_ = 1ms;
  start(1);
  const Descriptor client = kept_by(1);
  ASSERT_TRUE(run_until([&] { return all_free(); }));
  EXPECT_EQ(receive_text(client.get()), "(end)");
  EXPECT_EQ(held(), 0);
}

TEST_F(KeptConnectionsTest, APeerThatNeverSaysAnythingIsEndedAtItsTime) {
  silence_ = 1ms;
  start(1);
  const Descriptor client = listener_.connect();
  EXPECT_EQ(worker(1).next(), "quiet");
  EXPECT_EQ(worker(1).ask("put back"), "yes");
  ASSERT_TRUE(run_until([&] { return all_free(); }));
  EXPECT_EQ(receive_text(client.get()), "(end)");
}

TEST_F(KeptConnectionsTest, AConnectionWhoseRequestWaitsForAWorkerIsNotEnded) {
  keepalive_ = 1ms;
  start(1);
  const Descriptor client = kept_by(1);
  const Descriptor idle = kept_by(1);
  send_text(client.get(), "waiting");
  ASSERT_TRUE(run_until([&] { return slots_of(KeptTable::kFree) == kept().capacity() - 1; }));
  EXPECT_EQ(receive_text(idle.get()), "(end)");
  EXPECT_EQ(worker(1).next(), "waiting");
}

TEST_F(KeptConnectionsTest, AConnectionThatIsServedIsNotEnded) {
  keepalive_ = 1ms;
  start(1);
  const Descriptor served = kept_by(1);
  send_text(served.get(), "slow");
  EXPECT_EQ(worker(1).next(), "slow");
  start(2);
  const Descriptor idle = kept_by(2);
  ASSERT_TRUE(run_until([&] { return slots_of(KeptTable::kFree) == kept().capacity() - 1; }));
  worker(1).ask("answer");
  EXPECT_EQ(receive_text(served.get()), "answer");
}

TEST_F(KeptConnectionsTest, HasNothingToDoWhenNothingIsKept) {
  keepalive_ = 1ms;
  start(1);
  const Descriptor client = kept_by(1);
  ASSERT_TRUE(run_until([&] { return all_free() && !kept_connections_->next_deadline(); }));
}

TEST_F(KeptConnectionsTest, AsksThePeersOfALeavingGenerationsIdleConnectionsToCloseThem) {
  start(1);
  const Descriptor idle = kept_by(1);
  const Descriptor fresh = listener_.connect();
  EXPECT_EQ(worker(1).next(), "quiet");
  EXPECT_EQ(worker(1).ask("put back"), "yes");
  ASSERT_EQ(held(), 2);
  kept_connections_->give_back_idle();
  EXPECT_EQ(receive_text(idle.get()), "\r\n");
  EXPECT_EQ(receive_text(fresh.get(), 20ms), "(nothing)") << "it expects an answer first";
  worker(1).ask("give back");
  EXPECT_EQ(receive_text(idle.get(), 20ms), "(nothing)") << "once is enough";
  send_text(idle.get(), "crossed");
  EXPECT_EQ(worker(1).next(), "crossed");
}

TEST_F(KeptConnectionsTest, ForgetsAConnectionOfWhoseEndNoMailCame) {
  start(1);
  const Descriptor client = kept_by(1);
  ASSERT_EQ(held(), 1);
  send_text(client.get(), "last");
  EXPECT_EQ(worker(1).next(), "last");
  while (share().mailboxes.post(0, {MailKind::closed, {7, 0}})) {
  }
  worker(1).ask("drop");
  EXPECT_EQ(held(), 1) << "it does not know";
  EXPECT_TRUE(run_until([&] { return held() == 0; }));
}

TEST_F(KeptConnectionsTest, AWorkerThatNeverGotAConnectionHasItEnded) {
  start(1);
  const Descriptor client = kept_by(1);
  kept_connections_->read_mail();
  ASSERT_TRUE(kept().claim(kept().current(0), ReadyList::owner(2, 0)));
  ASSERT_TRUE(share().mailboxes.post(0, {MailKind::abandoned, kept().current(0)}));
  EXPECT_EQ(held(), 0);
  EXPECT_TRUE(all_free());
  EXPECT_EQ(receive_text(client.get()), "(end)");
}

TEST_F(KeptConnectionsTest, NewConnectionsOfALeavingGenerationAreOthersBusiness) {
  start(1);
  const Descriptor client = kept_by(1);
  kept_connections_->stop_accepting();
  const Descriptor another = listener_.connect();
  send_text(another.get(), "not here");
  EXPECT_EQ(worker(1).ask("glance"), "none");
  send_text(client.get(), "here");
  EXPECT_EQ(worker(1).next(), "here");
}

}  // namespace
}  // namespace forktail::server
