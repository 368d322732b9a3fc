// Dispatch over forked workers: who gets which connection.
#include <gtest/gtest.h>

#include <algorithm>

#include "dispatch_support.h"
#include "server/dispatch/ready_list.h"

namespace forktail::server {
namespace {

using ReadyListTest = DispatchTest;

TEST_F(ReadyListTest, ANewConnectionGoesToExactlyOneIdleWorker) {
  for (const int seat : {1, 2, 3}) {
    start(seat).begin("next");
  }
  const auto answers = [&] {
    int count = 0;
    for (const int seat : {1, 2, 3}) {
      count += worker(seat).has_answered() ? 1 : 0;
    }
    return count;
  };
  std::vector<Descriptor> clients;
  for (int expected = 1; expected <= 3; ++expected) {
    clients.push_back(listener_.connect());
    send_text(clients.back().get(), "hello");
    EXPECT_TRUE(wait_until([&] { return answers() == expected; }));
  }
  for (const int seat : {1, 2, 3}) {
    EXPECT_EQ(worker(seat).answer(), "hello");
  }
}

TEST_F(ReadyListTest, AKeptConnectionIsServedByWhicheverWorkerIsIdle) {
  start(1);
  start(2);
  const Descriptor client = kept_by(1);
  for (const int seat : {2, 1, 2, 2}) {
    send_text(client.get(), "again");
    EXPECT_EQ(worker(seat).next(), "again");
    EXPECT_EQ(worker(3 - seat).ask("glance"), "none") << "one worker has it";
    worker(seat).ask("answer");
    EXPECT_EQ(receive_text(client.get()), "answer");
    worker(seat).ask("keep");
  }
}

TEST_F(ReadyListTest, AConnectionThatIsNotKeptIsClosedAndLeavesNothing) {
  start(1);
  const Descriptor client = listener_.connect();
  send_text(client.get(), "hello");
  EXPECT_EQ(worker(1).next(), "hello");
  worker(1).ask("drop");
  EXPECT_EQ(receive_text(client.get()), "(end)");
  EXPECT_TRUE(all_free());
}

TEST_F(ReadyListTest, ADroppedConnectionEndsForThePeerAlthoughOthersHaveDuplicates) {
  start(1);
  start(2);
  const Descriptor client = kept_by(1);
  send_text(client.get(), "last");
  EXPECT_EQ(worker(2).next(), "last");
  worker(2).ask("drop");
  EXPECT_EQ(receive_text(client.get()), "(end)");
  EXPECT_TRUE(all_free());
  EXPECT_EQ(held(), 0) << "the master's";
  EXPECT_EQ(worker(1).ask("count"), "1") << "until it reads its mail";
  worker(1).ask("read mail");
  EXPECT_EQ(worker(1).ask("count"), "0");
  EXPECT_EQ(worker(2).ask("count"), "0");
}

TEST_F(ReadyListTest, AReusedSlotIsNotMistakenForItsFormerConnection) {
  start(1);
  start(2);
  {
    const Descriptor former = kept_by(1);
    send_text(former.get(), "x");
    EXPECT_EQ(worker(2).next(), "x");  // so the second has a duplicate of its own
    worker(2).ask("keep");
    send_text(former.get(), "last");
    EXPECT_EQ(worker(1).next(), "last");
    worker(1).ask("drop");
  }
  const Descriptor client = kept_by(1);
  EXPECT_EQ(kept().holder(0), KeptTable::kIdle) << "the slot that the former one had";
  send_text(client.get(), "mine");
  EXPECT_EQ(worker(2).next(), "mine");
}

TEST_F(ReadyListTest, WithPeersThatKeepAllThatIsQueuedIsTakenInTheOrderOfItsArrival) {
  start(1);
  start(2);
  kept().set_peers_keep(true);
  std::vector<Descriptor> clients;
  for (const char* name : {"a", "b", "c"}) {
    clients.push_back(listener_.connect());
    send_text(clients.back().get(), name);
  }
  EXPECT_EQ(worker(1).next(), "a");
  EXPECT_EQ(slots_of(KeptTable::kIdle), 2) << "the other two are published";
  EXPECT_EQ(worker(2).next(), "b");
  worker(2).ask("keep");
  EXPECT_EQ(worker(2).next(), "c");
}

TEST_F(ReadyListTest, OfPeersThatDoNotKeepTheOthersStayInTheListenQueue) {
  start(1);
  start(2);
  const Descriptor first = listener_.connect();
  const Descriptor second = listener_.connect();
  send_text(first.get(), "a");
  send_text(second.get(), "b");
  EXPECT_EQ(worker(1).next(), "a");
  EXPECT_TRUE(all_free());
  EXPECT_EQ(worker(2).next(), "b");
}

TEST_F(ReadyListTest, ASilentConnectionWaitsInTheListAndNotInAWorker) {
  start(1);
  start(2);
  const Descriptor client = listener_.connect();
  EXPECT_EQ(worker(1).next(), "quiet");
  EXPECT_EQ(worker(1).ask("put back"), "yes");
  EXPECT_TRUE(kept().fresh(0));
  EXPECT_EQ(worker(1).ask("glance"), "none");
  send_text(client.get(), "at last");
  EXPECT_EQ(worker(2).next(), "at last");
}

TEST_F(ReadyListTest, AKeptConnectionThatIsPutBackIsNotTakenForAFreshOne) {
  start(1);
  const Descriptor client = kept_by(1);
  send_text(client.get(), "x");
  EXPECT_EQ(worker(1).next(), "x");
  EXPECT_EQ(worker(1).ask("put back"), "yes");
  EXPECT_FALSE(kept().fresh(0)) << "it has been answered before";
}

TEST_F(ReadyListTest, AnEventOfAConnectionThatAnotherServesIsForgotten) {
  start(1);
  const Descriptor client = kept_by(1);
  ASSERT_TRUE(kept().claim(kept().current(0), ReadyList::owner(2, 0)));
  send_text(client.get(), "x");
  EXPECT_EQ(worker(1).ask("glance"), "none");
  kept().release(kept().current(0), 0, false);
  kept_connections_->read_mail();
  kept_connections_->dismiss(3);  // which arms it again
  EXPECT_EQ(worker(1).next(), "x");
}

TEST_F(ReadyListTest, WithoutAFreeSlotAConnectionIsNotPublishedButCanBeServed) {
  make(1);
  start(1);
  start(2);
  const Descriptor kept = kept_by(1);
  const Descriptor client = listener_.connect();
  send_text(client.get(), "hello");
  EXPECT_EQ(worker(2).next(), "hello");
  EXPECT_EQ(worker(2).ask("publish"), "no");
  worker(2).ask("answer");
  EXPECT_EQ(receive_text(client.get()), "answer");
  worker(2).ask("drop");
  EXPECT_EQ(receive_text(client.get()), "(end)");
  send_text(kept.get(), "still here");
  EXPECT_EQ(worker(2).next(), "still here");
}

TEST_F(ReadyListTest, WhatCanNotBePublishedStaysInTheListenQueueForAnyWorker) {
  make(1);
  start(1);
  start(2);
  start(3);
  kept().set_peers_keep(true);
  std::vector<Descriptor> clients;
  for (const char* name : {"a", "b", "c", "d"}) {
    clients.push_back(listener_.connect());
    send_text(clients.back().get(), name);
  }
  EXPECT_EQ(worker(1).next(), "a");  // "b" is published, for "c" there was no room
  EXPECT_EQ(worker(1).ask("at hand"), "no");
  std::string rest = worker(2).next() + worker(3).next();
  worker(2).ask("drop");
  rest += worker(2).next();
  std::sort(rest.begin(), rest.end());
  EXPECT_EQ(rest, "bcd");
}

TEST_F(ReadyListTest, AStoppedWorkerBetweenAnArrivalAndItsAcceptingHoldsUpNobodyElse) {
  start(1);
  start(2);
  const Descriptor first = listener_.connect();
  EXPECT_EQ(worker(1).ask("take event"), "yes");  // and does nothing more
  const Descriptor second = listener_.connect();
  send_text(first.get(), "a");
  send_text(second.get(), "b");
  EXPECT_EQ(worker(2).next(), "a");
  worker(2).ask("drop");
  EXPECT_EQ(worker(2).next(), "b");
}

TEST_F(ReadyListTest, AWorkerThatDoesNotReadItsMailKeepsNobodyFromPublishing) {
  start(1);
  start(2);
  while (share().mailboxes.post(2, {MailKind::closed, {0, 0}})) {
  }
  const Descriptor client = listener_.connect();
  send_text(client.get(), "hello");
  EXPECT_EQ(worker(1).next(), "hello");
  EXPECT_EQ(worker(1).ask("publish"), "yes");
  worker(1).ask("keep");
  send_text(client.get(), "again");
  worker(2).begin("next");  // which lacks it, and asks the master
  ASSERT_TRUE(run_until([&] { return worker(2).has_answered(); }));
  EXPECT_EQ(worker(2).answer(), "again");
}

TEST_F(ReadyListTest, WithoutRoomAtTheMastersNothingIsAcceptedThatCouldNotBePublished) {
  start(1);
  start(2);
  kept().set_peers_keep(true);
  while (share().mailboxes.post(0, {MailKind::closed, {0, 0}})) {
  }
  const Descriptor first = listener_.connect();
  const Descriptor second = listener_.connect();
  send_text(first.get(), "a");
  send_text(second.get(), "b");
  EXPECT_EQ(worker(1).next(), "a");
  EXPECT_EQ(worker(1).ask("at hand"), "no");
  EXPECT_EQ(worker(2).next(), "b");
}

TEST_F(ReadyListTest, AnApplicationsDescriptorsNeverGetTheNumbersOfKeptConnections) {
  start(1);
  EXPECT_EQ(worker(1).ask("open many"), "yes");
  const Descriptor client = kept_by(1);
  send_text(client.get(), "again");
  EXPECT_EQ(worker(1).next(), "again");
  worker(1).ask("drop");
  EXPECT_EQ(worker(1).ask("write to all numbers"), "no") << "a number that is free takes no bytes";
}

TEST_F(ReadyListTest, ALeavingGenerationAsksForIdleConnectionsOnceAndAnswersWhatCrossedTheAsking) {
  start(1);
  start(2);
  const Descriptor idle = kept_by(1);
  const Descriptor crossing = kept_by(2);
  worker(1).ask("give back");
  worker(2).ask("give back");
  EXPECT_EQ(receive_text(idle.get()), "\r\n");
  EXPECT_EQ(receive_text(idle.get(), 20ms), "(nothing)") << "once is enough";
  EXPECT_EQ(receive_text(crossing.get()), "\r\n");
  send_text(crossing.get(), "crossed");
  EXPECT_EQ(worker(1).next(), "crossed");
  worker(1).ask("answer");
  worker(1).ask("drop");
  EXPECT_EQ(receive_text(crossing.get()), "answer");
  EXPECT_EQ(worker(1).ask("any idle"), "yes");
  worker(1).ask("drop idle");
  EXPECT_EQ(receive_text(idle.get()), "(end)");
  EXPECT_EQ(worker(1).ask("any idle"), "no");
  EXPECT_TRUE(all_free());
}

TEST_F(ReadyListTest, ALeavingGenerationDoesNotAskWhoStillWaitsForItsFirstAnswer) {
  start(1);
  const Descriptor client = listener_.connect();
  EXPECT_EQ(worker(1).next(), "quiet");
  worker(1).ask("put back");
  worker(1).ask("give back");
  EXPECT_EQ(receive_text(client.get(), 20ms), "(nothing)");
  send_text(client.get(), "first");
  EXPECT_EQ(worker(1).next(), "first");
}

}  // namespace
}  // namespace forktail::server
