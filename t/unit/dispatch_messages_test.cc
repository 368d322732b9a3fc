// Mailboxes and channels: what processes tell each other, with and without a descriptor.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "server/dispatch/mailboxes.h"
#include "server/shared/channel.h"
#include "server_support.h"

namespace forktail::server {
namespace {

using Taken = Mailboxes::Taken;

bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

bool same_file(int one, int other) {
  struct stat a {};
  struct stat b {};
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_ino == b.st_ino;
}

TEST(Mailboxes, DeliverInOrderToTheSeatAndNobodyElse) {
  const Mailboxes boxes(2);
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    ASSERT_TRUE(boxes.post(1, {MailKind::closed, {slot, slot + 10}, static_cast<int>(slot) + 20}));
  }
  Mail mail;
  EXPECT_EQ(boxes.take(0, mail), Taken::nothing);
  EXPECT_EQ(boxes.take(2, mail), Taken::nothing);
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    ASSERT_EQ(boxes.take(1, mail), Taken::letter);
    EXPECT_EQ(mail.kind, MailKind::closed);
    EXPECT_EQ(mail.id.slot, slot);
    EXPECT_EQ(mail.id.version, slot + 10);
    EXPECT_EQ(mail.seat, static_cast<int>(slot) + 20);
    EXPECT_FALSE(mail.descriptor);
  }
  EXPECT_EQ(boxes.take(1, mail), Taken::nothing);
}

TEST(Mailboxes, PassADescriptorThatIsClosedOnExec) {
  const Mailboxes boxes(1);
  const SocketPair pair;
  ASSERT_TRUE(boxes.post(1, {MailKind::opened, {5, 1}}, pair.theirs.get()));
  Mail mail;
  ASSERT_EQ(boxes.take(1, mail), Taken::letter);
  ASSERT_TRUE(mail.descriptor);
  EXPECT_TRUE(same_file(mail.descriptor.get(), pair.theirs.get()));
  EXPECT_EQ(fcntl(mail.descriptor.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Mailboxes, AFullOneTakesNothingMoreAndNeverWaits) {
  const Mailboxes boxes(2);
  int posted = 0;
  while (boxes.post(1, {MailKind::closed, {0, 1}})) {
    ASSERT_LT(++posted, 100'000);
  }
  EXPECT_LT(posted, 16) << "descriptors on their way count against a limit of the user's";
  EXPECT_TRUE(boxes.post(2, {MailKind::closed, {0, 1}})) << "the others have room of their own";
  Mail mail;
  ASSERT_EQ(boxes.take(1, mail), Taken::letter);
  EXPECT_TRUE(boxes.post(1, {MailKind::closed, {0, 1}}));
}

TEST(Mailboxes, AreTheSameThroughInheritedDescriptors) {
  const Mailboxes boxes(1);
  std::vector<int> inherited;
  for (const int descriptor : boxes.descriptors()) {
    inherited.push_back(dup(descriptor));
  }
  const Mailboxes other(inherited);
  EXPECT_EQ(other.seats(), 1);
  ASSERT_TRUE(other.post(0, {MailKind::wanted, {1, 0}, 3}));
  Mail mail;
  ASSERT_EQ(boxes.take(0, mail), Taken::letter);
  EXPECT_EQ(mail.kind, MailKind::wanted);
}

TEST(Mailboxes, TheMasterHasRoomForABurstAndKnowsWhoWrites) {
  const Mailboxes boxes(1);
  EXPECT_TRUE(boxes.master_has_room());
  int posted = 0;
  while (boxes.post(0, {MailKind::closed, {0, 1}})) {
    ASSERT_LT(++posted, 100'000);
  }
  EXPECT_GT(posted, 64);
  EXPECT_FALSE(boxes.master_has_room());
  Mail mail;
  ASSERT_EQ(boxes.take(0, mail), Taken::letter);
  EXPECT_EQ(mail.sender, getpid());
}

TEST(Mailboxes, WhatIsNoLetterIsTold) {
  const Mailboxes boxes(1);
  const int writing = boxes.descriptors().at(1);
  const std::vector<std::uint32_t> words(6, 0xffffffff);
  for (std::size_t size = 0; size <= words.size() * sizeof(std::uint32_t); ++size) {
    ASSERT_GE(send(writing, words.data(), size, 0), 0);
    Mail mail;
    EXPECT_EQ(boxes.take(0, mail), size == 0 ? Taken::empty : Taken::nonsense) << size;
    EXPECT_EQ(mail.sender, getpid());
  }
}

TEST(Channel, DeliversWhatWasSentWithTextAndDescriptor) {
  const auto [ours, theirs] = Channel::make();
  SocketPair pair;
  ASSERT_TRUE(ours.send({MessageType::spawn, 7, "a text", Descriptor(dup(pair.ours.get()))}));
  ASSERT_TRUE(ours.send({MessageType::ready, 8}));
  bool ended = true;
  auto message = theirs.receive(ended);
  ASSERT_TRUE(message);
  EXPECT_FALSE(ended);
  EXPECT_EQ(message->type, MessageType::spawn);
  EXPECT_EQ(message->worker, 7);
  EXPECT_EQ(message->text, "a text");
  EXPECT_TRUE(same_file(message->descriptor.get(), pair.ours.get()));
  message = theirs.receive(ended);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, MessageType::ready);
  EXPECT_FALSE(message->descriptor);
}

TEST(Channel, NothingWaitingIsNoEnd) {
  const auto [ours, theirs] = Channel::make();
  bool ended = true;
  EXPECT_FALSE(theirs.receive(ended));
  EXPECT_FALSE(ended);
}

TEST(Channel, TheEndOfTheOtherSideComesAfterItsLastWords) {
  auto [ours, theirs] = Channel::make();
  ASSERT_TRUE(ours.send({MessageType::leaving, 1}));
  ours.close();
  bool ended = true;
  EXPECT_TRUE(theirs.receive(ended));
  EXPECT_FALSE(ended);
  EXPECT_FALSE(theirs.receive(ended));
  EXPECT_TRUE(ended);
  EXPECT_FALSE(theirs.send({MessageType::ready}));
}

TEST(Channel, CutsAVeryLongText) {
  const auto [ours, theirs] = Channel::make();
  ASSERT_TRUE(ours.send({MessageType::load_failed, 0, std::string(5000, 'x')}));
  bool ended = false;
  EXPECT_EQ(theirs.receive(ended)->text, std::string(2000, 'x'));
}

TEST(Descriptor, ClosesWhatItOwnsAndOnlyThat) {
  int number = -1;
  {
    Descriptor one(dup(2));
    number = one.get();
    Descriptor moved = std::move(one);
    EXPECT_FALSE(one);  // NOLINT(bugprone-use-after-move): that it is empty is the promise
    EXPECT_TRUE(is_open(number));
    Descriptor released(dup(2));
    const int free = released.release();
    released.reset();
    EXPECT_TRUE(is_open(free));
    close(free);
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Descriptor, AChildKeepsOnlyWhatIsNamed) {
  const int low = dup(2);
  const int named = fcntl(2, F_DUPFD, 200);
  const int high = fcntl(2, F_DUPFD, 300);
  const int highest = fcntl(2, F_DUPFD, 900);
  Child child([&] {
    const int keep[] = {highest, 1, named};  // in no order, and with one that is kept anyway
    close_all_but(keep);
    return is_open(0) + 2 * is_open(1) + 4 * is_open(2) + 8 * is_open(low) + 16 * is_open(named) +
           32 * is_open(high) + 64 * is_open(highest);
  });
  EXPECT_EQ(child.join(), 1 + 2 + 4 + 16 + 64);
  for (const int descriptor : {low, named, high, highest}) {
    close(descriptor);
  }
}

TEST(Descriptor, IsInheritedOverAnExecOrNot) {
  const Descriptor one(dup(2));
  set_inheritable(one.get(), false);
  EXPECT_EQ(fcntl(one.get(), F_GETFD), FD_CLOEXEC);
  set_inheritable(one.get(), true);
  EXPECT_EQ(fcntl(one.get(), F_GETFD), 0);
}

}  // namespace
}  // namespace forktail::server
