#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "server/dispatch/tls_queue.h"
#include "server_support.h"

namespace forktail::server {
namespace {

class TlsQueueTest : public ::testing::Test {
 protected:
  TlsQueue queue_ = TlsQueue::make();
  SocketPair pair_{SOCK_STREAM, SOCK_CLOEXEC | SOCK_NONBLOCK};
  TlsPeer peer_;
};

TEST_F(TlsQueueTest, AConnectionComesOutWithWhatIsKnownOfItsPeer) {
  ASSERT_TRUE(put_connection(queue_.writing.get(), pair_.theirs.get(), {true, "CN=client"}));
  pair_.theirs.reset();
  const Descriptor taken = take_connection(queue_.reading.get(), peer_);
  ASSERT_TRUE(taken);
  EXPECT_EQ(peer_.subject, "CN=client");
  EXPECT_TRUE(peer_.last);
  send_text(taken.get(), "hello");
  EXPECT_EQ(receive_text(pair_.ours.get()), "hello");
}

TEST_F(TlsQueueTest, ConnectionsComeOutInTheOrderOfTheirGoingIn) {
  for (const char* name : {"CN=1", "CN=2", ""}) {
    ASSERT_TRUE(put_connection(queue_.writing.get(), pair_.theirs.get(), {false, name}));
  }
  for (const char* name : {"CN=1", "CN=2", ""}) {
    ASSERT_TRUE(take_connection(queue_.reading.get(), peer_));
    EXPECT_EQ(peer_.subject, name);
  }
}

TEST_F(TlsQueueTest, SaysHowManyWaitHoweverLongTheirNames) {
  EXPECT_EQ(connections_in(queue_.reading.get()), 0);
  for (const char* name : {"", "CN=a client with quite a long name,O=Example", "CN=1"}) {
    ASSERT_TRUE(put_connection(queue_.writing.get(), pair_.theirs.get(), {false, name}));
  }
  EXPECT_EQ(connections_in(queue_.reading.get()), 3);
  ASSERT_TRUE(take_connection(queue_.reading.get(), peer_));
  EXPECT_EQ(connections_in(queue_.reading.get()), 2);
}

TEST_F(TlsQueueTest, AnEmptyQueueIsLikeAnEmptyListenQueue) {
  EXPECT_FALSE(take_connection(queue_.reading.get(), peer_));
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(TlsQueueTest, AQueueThatNobodyCanFillAnyMoreIsEmpty) {
  queue_.writing.reset();
  EXPECT_FALSE(take_connection(queue_.reading.get(), peer_));
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(TlsQueueTest, AFullQueueTakesNoMoreUntilSomethingIsTaken) {
  int count = 0;
  while (put_connection(queue_.writing.get(), pair_.theirs.get(), {false, "CN=client"})) {
    ASSERT_LT(++count, 100'000);
  }
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GE(count, 100);
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(take_connection(queue_.reading.get(), peer_)) << i;
  }
  EXPECT_TRUE(put_connection(queue_.writing.get(), pair_.theirs.get(), {}));
}

TEST_F(TlsQueueTest, IsToldFromAListeningSocket) {
  EXPECT_TRUE(is_tls_queue(queue_.reading.get()));
  const Descriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un any{};
  any.sun_family = AF_UNIX;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof(sa_family_t)), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  EXPECT_FALSE(is_tls_queue(listener.get()));
}

}  // namespace
}  // namespace forktail::server
