#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "server/dispatch/handed_over.h"
#include "server_support.h"

namespace forktail::server {
namespace {

class HandoverQueueTest : public ::testing::Test {
 protected:
  HandoverQueue queue_ = HandoverQueue::make();
  SocketPair pair_{SOCK_STREAM, SOCK_CLOEXEC | SOCK_NONBLOCK};
  TlsPeer peer_;
};

TEST_F(HandoverQueueTest, AConnectionComesOutWithWhatIsKnownOfItsPeer) {
  ASSERT_TRUE(hand_over(queue_.writing.get(), pair_.theirs.get(), {true, "CN=client"}));
  pair_.theirs.reset();
  const Descriptor taken = take_over(queue_.reading.get(), peer_);
  ASSERT_TRUE(taken);
  EXPECT_EQ(peer_.subject, "CN=client");
  EXPECT_TRUE(peer_.last);
  send_text(taken.get(), "hello");
  EXPECT_EQ(receive_text(pair_.ours.get()), "hello");
}

TEST_F(HandoverQueueTest, ConnectionsComeOutInTheOrderOfTheirGoingIn) {
  for (const char* name : {"CN=1", "CN=2", ""}) {
    ASSERT_TRUE(hand_over(queue_.writing.get(), pair_.theirs.get(), {false, name}));
  }
  for (const char* name : {"CN=1", "CN=2", ""}) {
    ASSERT_TRUE(take_over(queue_.reading.get(), peer_));
    EXPECT_EQ(peer_.subject, name);
  }
}

TEST_F(HandoverQueueTest, AnEmptyQueueIsLikeAnEmptyListenQueue) {
  EXPECT_FALSE(take_over(queue_.reading.get(), peer_));
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(HandoverQueueTest, AQueueThatNobodyCanFillAnyMoreIsEmpty) {
  queue_.writing.reset();
  EXPECT_FALSE(take_over(queue_.reading.get(), peer_));
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(HandoverQueueTest, AFullQueueTakesNoMoreUntilSomethingIsTaken) {
  int count = 0;
  while (hand_over(queue_.writing.get(), pair_.theirs.get(), {false, "CN=client"})) {
    ASSERT_LT(++count, 100'000);
  }
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GE(count, 100);
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(take_over(queue_.reading.get(), peer_)) << i;
  }
  EXPECT_TRUE(hand_over(queue_.writing.get(), pair_.theirs.get(), {}));
}

TEST_F(HandoverQueueTest, IsToldFromAListeningSocket) {
  EXPECT_TRUE(is_handover_queue(queue_.reading.get()));
  const Descriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un any{};
  any.sun_family = AF_UNIX;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof(sa_family_t)), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  EXPECT_FALSE(is_handover_queue(listener.get()));
}

}  // namespace
}  // namespace forktail::server
