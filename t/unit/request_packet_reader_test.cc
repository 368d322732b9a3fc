#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "server/request/packet_reader.h"
#include "server_support.h"
#include "wire/packet.h"

namespace forktail::server {
namespace {

using Kind = PacketReader::Packet::Kind;

class PacketReaderTest : public ::testing::Test {
 protected:
  SocketPair pair_{SOCK_STREAM, SOCK_CLOEXEC | SOCK_NONBLOCK};
  Connection connection_{pair_.ours.get()};
  Slots slots_{1, 1};
  Options options_;
  PacketReader reader_{options_, slots_.slot(1, 0)};

  static auto in(std::chrono::milliseconds time) { return Connection::Clock::now() + time; }
  static std::string request(std::vector<Variable> variables = {{"REQUEST_METHOD", "GET"},
                                                                {"PATH_INFO", "/a"}}) {
    return wire::make_packet(wire::kModifierRequest, 0, variables);
  }
  void peer_sends(std::string_view bytes) { send_text(pair_.theirs.get(), bytes); }
  void peer_ends() { shutdown(pair_.theirs.get(), SHUT_WR); }
  PacketReader::Packet read() {
    reader_.clear();
    return reader_.read(connection_, in(10s), in(10s));
  }
};

TEST_F(PacketReaderTest, ReadsARequestAndTheBeginningOfItsBody) {
  peer_sends(request() + "body");
  EXPECT_EQ(read().kind, Kind::request);
  EXPECT_EQ(reader_.head().method, "GET");
  EXPECT_EQ(reader_.head().path, "/a");
  EXPECT_EQ(reader_.rest(), "body");
}

TEST_F(PacketReaderTest, NothingOfTheLastRequestIsLeftInTheNext) {
  peer_sends(request({{"REQUEST_METHOD", "PUT"}, {"QUERY_STRING", "q"}, {"PATH_INFO", "/long"}}));
  EXPECT_EQ(read().kind, Kind::request);
  peer_sends(request({{"REQUEST_METHOD", "GET"}}));
  EXPECT_EQ(read().kind, Kind::request);
  EXPECT_EQ(reader_.head().path, "");
  EXPECT_EQ(reader_.head().query, "");
  EXPECT_EQ(reader_.rest(), "");
}

TEST_F(PacketReaderTest, APeerThatSaysNothingIsSilentAndMaySpeakLater) {
  reader_.clear();
  EXPECT_EQ(reader_.read(connection_, in(1ms), in(10s)).kind, Kind::silent);
  peer_sends(request());
  EXPECT_EQ(reader_.read(connection_, in(10s), in(10s)).kind, Kind::request);
}

TEST_F(PacketReaderTest, OneThatHasBegunIsWaitedForUntilTheDeadline) {
  peer_sends(std::string_view("\0", 1));
  reader_.clear();
  const auto begin = Connection::Clock::now();
  const PacketReader::Packet packet = reader_.read(connection_, begin + 1ms, begin + 50ms);
  EXPECT_GE(Connection::Clock::now() - begin, 50ms);
  EXPECT_EQ(packet.kind, Kind::refused);
  EXPECT_EQ(packet.refusal.status, 408);
  EXPECT_NE(packet.refusal.why.find("3 of its bytes are missing"), std::string::npos);
}

TEST_F(PacketReaderTest, WhoLeavesWithoutAWordIsRefusedWithoutOne) {
  peer_ends();
  const PacketReader::Packet packet = read();
  EXPECT_EQ(packet.kind, Kind::refused);
  EXPECT_EQ(packet.refusal.status, 0);
  EXPECT_EQ(packet.refusal.why, "");
}

TEST_F(PacketReaderTest, WhoLeavesWithinThePacketIsToldHowMuchIsMissing) {
  const std::string whole = request();
  peer_sends(std::string_view(whole).substr(0, whole.size() - 2));
  peer_ends();
  const PacketReader::Packet packet = read();
  EXPECT_EQ(packet.refusal.status, 400);
  EXPECT_NE(packet.refusal.why.find("2 of its bytes are missing"), std::string::npos);
}

TEST_F(PacketReaderTest, APingIsNoRequest) {
  peer_sends(wire::make_packet(wire::kModifierPing, 0, {}));
  EXPECT_EQ(read().kind, Kind::ping);
}

TEST_F(PacketReaderTest, AnotherModifierIsNotServed) {
  peer_sends(wire::make_packet(5, 0, {}));
  EXPECT_EQ(read().refusal.status, 501);
}

TEST_F(PacketReaderTest, AnotherProtocolIsNamed) {
  peer_sends("GET / HTTP/1.1\r\n");
  const PacketReader::Packet packet = read();
  EXPECT_EQ(packet.refusal.status, 400);
  EXPECT_NE(packet.refusal.why.find("HTTP"), std::string::npos);
}

TEST_F(PacketReaderTest, APacketAboveBufferSizeIsRefusedBeforeItIsRead) {
  options_.buffer_size = 10;
  peer_sends(request());
  const PacketReader::Packet packet = read();
  EXPECT_EQ(packet.refusal.status, 400);
  EXPECT_NE(packet.refusal.why.find("buffer-size allows 10"), std::string::npos);
}

TEST_F(PacketReaderTest, TheMasterCanNameARequestAsSoonAsItIsRead) {
  slots_.slot(1, 0).begin_reading(1);
  peer_sends(request({{"REQUEST_METHOD", "GET"}, {"PATH_INFO", "/last"}}));
  EXPECT_EQ(read().kind, Kind::request);
  EXPECT_EQ(slots_.slot(1, 0).last_request().path, "/last");
}

}  // namespace
}  // namespace forktail::server
