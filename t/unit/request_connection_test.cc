#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <vector>

#include "server/request/connection.h"
#include "server_support.h"

namespace forktail::server {
namespace {

using Outcome = Connection::Outcome;

class ConnectionTest : public ::testing::Test {
 protected:
  SocketPair pair_{SOCK_STREAM, SOCK_CLOEXEC | SOCK_NONBLOCK};
  Connection connection_{pair_.ours.get()};
  std::array<char, 100> buffer_{};
  std::size_t got_ = 0;

  static auto in(std::chrono::milliseconds time) { return Connection::Clock::now() + time; }
  [[nodiscard]] std::string_view text() const { return {buffer_.data(), got_}; }
};

TEST_F(ConnectionTest, ReadsWhatIsThereWhenThatIsEnough) {
  send_text(pair_.theirs.get(), "hello");
  EXPECT_EQ(connection_.read(buffer_, 3, in(0ms), got_), Outcome::done);
  EXPECT_EQ(text(), "hello");
}

TEST_F(ConnectionTest, WaitsUntilThereIsEnough) {
  send_text(pair_.theirs.get(), "he");
  std::thread rest([&] {
    std::this_thread::sleep_for(20ms);
    send_text(pair_.theirs.get(), "llo");
  });
  EXPECT_EQ(connection_.read(buffer_, 5, in(10s), got_), Outcome::done);
  EXPECT_EQ(text(), "hello");
  rest.join();
}

TEST_F(ConnectionTest, IsLateAtTheDeadlineNotBeforeAndKeepsWhatCame) {
  send_text(pair_.theirs.get(), "he");
  const auto begin = Connection::Clock::now();
  EXPECT_EQ(connection_.read(buffer_, 5, begin + 50ms, got_), Outcome::late);
  EXPECT_EQ(text(), "he");
  EXPECT_GE(Connection::Clock::now() - begin, 50ms);
}

TEST_F(ConnectionTest, ADeadlineThatHasPassedStillReadsWhatIsThere) {
  EXPECT_EQ(connection_.read(buffer_, 1, in(-1s), got_), Outcome::late);
  send_text(pair_.theirs.get(), "x");
  EXPECT_EQ(connection_.read(buffer_, 1, in(-1s), got_), Outcome::done);
}

// A byte now and then must not move the deadline.
TEST_F(ConnectionTest, APeerThatDripsIsLateAsWell) {
  std::atomic<bool> stop = false;
  std::thread dripping([&] {
    while (!stop) {
      send_text(pair_.theirs.get(), "x");
      std::this_thread::sleep_for(5ms);
    }
  });
  EXPECT_EQ(connection_.read(buffer_, 100, in(60ms), got_), Outcome::late);
  EXPECT_LT(got_, 100U);
  stop = true;
  dripping.join();
}

TEST_F(ConnectionTest, SeesTheEnd) {
  send_text(pair_.theirs.get(), "he");
  pair_.theirs.reset();
  EXPECT_EQ(connection_.read(buffer_, 5, in(10s), got_), Outcome::ended);
  EXPECT_EQ(text(), "he");
}

TEST_F(ConnectionTest, SaysWhyReadingFailed) {
  send_text(pair_.ours.get(), "unread");
  pair_.theirs.reset();  // with something unread: the kernel resets the connection
  EXPECT_EQ(connection_.read(buffer_, 5, in(10s), got_), Outcome::failed);
  EXPECT_EQ(errno, ECONNRESET);
}

// Parts that are many times the size of the socket's buffer, to a reader that takes a little each
// time: the kernel takes each write in pieces, some of which end within a part.
TEST_F(ConnectionTest, WritesAllPartsHoweverLittleTheKernelTakes) {
  const int small = 4096;
  setsockopt(pair_.ours.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  std::vector<char> first(70'001);
  std::vector<char> second(300'007);
  std::iota(first.begin(), first.end(), 0);
  std::iota(second.begin(), second.end(), 7);
  std::vector<char> received;
  std::thread reader([&] {
    std::array<char, 777> part;
    while (readable(pair_.theirs.get())) {
      const ssize_t size = recv(pair_.theirs.get(), part.data(), part.size(), 0);
      if (size <= 0) {
        break;
      }
      received.insert(received.end(), part.begin(), part.begin() + size);
    }
  });
  std::array<iovec, 3> parts{
      {{first.data(), first.size()}, {nullptr, 0}, {second.data(), second.size()}}};
  EXPECT_EQ(connection_.write(parts, 10s), Outcome::done);
  shutdown(pair_.ours.get(), SHUT_WR);
  reader.join();
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_TRUE(received == first) << received.size() << " of " << first.size() << " bytes";
}

TEST_F(ConnectionTest, APeerThatTakesNothingIsLate) {
  std::vector<char> much(10 << 20);
  iovec part{much.data(), much.size()};
  EXPECT_EQ(connection_.write({&part, 1}, 30ms), Outcome::late);
}

TEST_F(ConnectionTest, WritingToAPeerThatIsGoneFailsWithoutASignal) {
  pair_.theirs.reset();
  char byte = 'x';
  iovec part{&byte, 1};
  EXPECT_EQ(connection_.write({&part, 1}, 10s), Outcome::failed);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(ConnectionTest, LingersUntilThePeerHasSeenTheEnd) {
  std::thread peer([&] {
    send_text(pair_.theirs.get(), "unwanted");
    EXPECT_EQ(receive_text(pair_.theirs.get()), "(end)");
    pair_.theirs.reset();
  });
  connection_.linger(10s);
  peer.join();
  EXPECT_EQ(connection_.read(buffer_, 1, in(0ms), got_), Outcome::ended) << "all of it was read";
}

TEST_F(ConnectionTest, LingersAsLongAsThePeerSends) {
  std::thread peer([&] {
    const std::vector<char> much(8 << 20);
    std::size_t sent = 0;
    while (sent < much.size()) {
      const ssize_t size =
          send(pair_.theirs.get(), much.data() + sent, much.size() - sent, MSG_NOSIGNAL);
      if (size > 0) {
        sent += static_cast<std::size_t>(size);
      } else if (errno != EAGAIN) {
        break;
      }
    }
    EXPECT_EQ(sent, much.size());
    pair_.theirs.reset();
  });
  connection_.linger(10s);
  peer.join();
}

TEST_F(ConnectionTest, DoesNotLingerForAPeerThatIsSilent) {
  const auto begin = Connection::Clock::now();
  connection_.linger(60s);
  EXPECT_LT(Connection::Clock::now() - begin, 30s);
}

TEST_F(ConnectionTest, DoesNotLingerForAPeerThatNeverStops) {
  std::thread peer([&] {
    const std::vector<char> some(65536);
    while (send(pair_.theirs.get(), some.data(), some.size(), MSG_NOSIGNAL) >= 0 ||
           errno == EAGAIN) {
    }
  });
  const auto begin = Connection::Clock::now();
  connection_.linger(100ms);
  EXPECT_LT(Connection::Clock::now() - begin, 30s);
  pair_.ours.reset();
  peer.join();
}

}  // namespace
}  // namespace forktail::server
