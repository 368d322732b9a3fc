#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "log_support.h"
#include "server/os/descriptor.h"
#include "server/request/response_sender.h"

namespace forktail::server {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

using Terms = ResponseSender::Terms;
constexpr Terms kKept{"the-id-of-it", false, true, true};
constexpr Terms kClosed{"the-id-of-it", false, false, false};
constexpr Terms kHead{"the-id-of-it", true, true, true};

const std::string kError =
    "HTTP/1.1 500 Internal Server Error\r\n"
    "X-Request-ID: the-id-of-it\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 51\r\n"
    "Connection: keep-alive\r\nKeep-Alive: gives-back\r\n"
    "\r\n"
    "500 Internal Server Error\nrequest id: the-id-of-it\n";

class SenderTest : public testing::Test {
 protected:
  SenderTest() { signal(SIGPIPE, SIG_IGN); }

  void SetUp() override {
    received_.clear();
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = Descriptor(ends[0]);
    theirs_ = Descriptor(ends[1]);
    fcntl(ours_.get(), F_SETFL, O_NONBLOCK);
  }

  // Sends while another thread reads, and puts what came into received_.
  ResponseSender::Sent send(const Response& response, const Terms& terms = kKept) {
    std::thread reader([this] {
      char bytes[4096];
      for (ssize_t size = 0; (size = read(theirs_.get(), bytes, sizeof(bytes))) > 0;) {
        received_.append(bytes, static_cast<std::size_t>(size));
      }
    });
    const auto sent = send_unread(response, terms);
    ours_.reset();
    reader.join();
    return sent;
  }

  ResponseSender::Sent send_unread(const Response& response, const Terms& terms = kKept,
                                   std::chrono::milliseconds patience = 10s) {
    Connection connection(ours_.get());
    std::string head;
    return ResponseSender(connection, sink_, patience, terms, head).send(response);
  }

  std::string make(const std::string& content) {
    std::ofstream(directory_ / "file") << content;
    return directory_ / "file";
  }

  std::string log_text() { return log::content_of(directory_ / "log"); }

  log::TemporaryDirectory directory_;
  log::Sink sink_{directory_ / "log", log::Format::json};
  Descriptor ours_;
  Descriptor theirs_;
  std::string received_;
};

Response stream(Response::Stream produce) { return Response::stream(200, "", std::move(produce)); }

TEST_F(SenderTest, SendsAString) {
  const auto sent = send({200, "text/plain", "hello"});
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(sent.status, 200);
  EXPECT_EQ(sent.bytes, 5U);
  EXPECT_EQ(received_,
            "HTTP/1.1 200 OK\r\nX-Request-ID: the-id-of-it\r\nContent-Type: text/plain\r\n"
            "Content-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: gives-back\r\n\r\nhello");
}

TEST_F(SenderTest, SendsStringsOfEverySizeWhole) {
  for (const std::size_t size : {4095U, 4096U, 4097U, 100'000U, 1'000'000U}) {
    SetUp();
    std::string body(size, 'x');
    body.front() = '<';
    body.back() = '>';
    const auto sent = send({200, "text/plain", body});
    EXPECT_TRUE(sent.whole);
    EXPECT_EQ(sent.bytes, size);
    EXPECT_TRUE(received_.ends_with("\r\n\r\n" + body)) << size;
  }
}

TEST_F(SenderTest, SendsTheHeadAloneForHead) {
  bool called = false;
  const auto sent = send(stream([&](Writer&) { called = true; }), kHead);
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(received_,
            "HTTP/1.1 200 OK\r\nX-Request-ID: the-id-of-it\r\nTransfer-Encoding: "
            "chunked\r\nConnection: keep-alive\r\nKeep-Alive: gives-back\r\n\r\n");
  EXPECT_FALSE(called);
}

TEST_F(SenderTest, SendsNoFileForHeadButItsLength) {
  const auto sent = send(Response::file(make("hello"), ""), kHead);
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(sent.bytes, 0U);
  EXPECT_THAT(received_,
              testing::EndsWith(
                  "Content-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: gives-back\r\n\r\n"));
}

TEST_F(SenderTest, SendsNoBodyWith204) {
  send({204, "", "not for you"});
  EXPECT_EQ(received_,
            "HTTP/1.1 204 No Content\r\nX-Request-ID: the-id-of-it\r\nConnection: "
            "keep-alive\r\nKeep-Alive: gives-back\r\n\r\n");
}

TEST_F(SenderTest, ReplacesWhatCanNotBeSent) {
  const auto sent = send(Response(200, "", "x").add_header("X-A", "a\r\nX-B: b"));
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(sent.status, 500);
  EXPECT_EQ(received_, kError);
  EXPECT_THAT(log_text(), HasSubstr("the application's response can not be sent: the value"));
}

TEST_F(SenderTest, SendsAFile) {
  const std::string content(3000000, 'f');
  const auto sent = send(Response::file(make(content), "text/plain"));
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(sent.bytes, content.size());
  EXPECT_EQ(received_.substr(received_.find("\r\n\r\n") + 4), content);
  EXPECT_THAT(received_, HasSubstr("Content-Length: 3000000\r\n"));
}

TEST_F(SenderTest, SendsAnEmptyFile) {
  EXPECT_TRUE(send(Response::file(make(""), "")).whole);
  EXPECT_THAT(received_,
              testing::EndsWith(
                  "Content-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: gives-back\r\n\r\n"));
}

TEST_F(SenderTest, CutsTheResponseOfAFileThatShrinks) {
  const std::string path = make("0123456789");
  const Response response = Response::file(path, "");
  ASSERT_EQ(truncate(path.c_str(), 4), 0);
  const auto sent = send(response);
  EXPECT_FALSE(sent.whole);
  EXPECT_EQ(sent.bytes, 4U);
  EXPECT_THAT(received_, testing::EndsWith("\r\n\r\n0123"));
  EXPECT_THAT(log_text(), HasSubstr("its file shrank from 10 to 4 bytes"));
  EXPECT_THAT(log_text(), HasSubstr("\"request_id\":\"the-id-of-it\""));
}

TEST_F(SenderTest, SendsEachWriteOfAStreamAsAChunk) {
  const auto sent = send(stream([](Writer& writer) {
    EXPECT_TRUE(writer.write("hello"));
    EXPECT_TRUE(writer.write(""));
    EXPECT_TRUE(writer.write("sixteen bytes...."));
  }));
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(sent.bytes, 22U);
  EXPECT_EQ(received_,
            "HTTP/1.1 200 OK\r\nX-Request-ID: the-id-of-it\r\nTransfer-Encoding: "
            "chunked\r\nConnection: keep-alive\r\nKeep-Alive: gives-back\r\n\r\n"
            "5\r\nhello\r\n11\r\nsixteen bytes....\r\n0\r\n\r\n");
}

TEST_F(SenderTest, SendsAStreamUnframedToAPeerThatKnowsNoChunks) {
  const auto sent = send(stream([](Writer& writer) {
                           writer.write("a");
                           writer.write("b");
                         }),
                         kClosed);
  EXPECT_TRUE(sent.whole);
  EXPECT_EQ(received_,
            "HTTP/1.1 200 OK\r\nX-Request-ID: the-id-of-it\r\nConnection: close\r\n\r\nab");
}

TEST_F(SenderTest, SendsAStreamOfNothing) {
  EXPECT_TRUE(send(stream([](Writer&) {})).whole);
  EXPECT_THAT(received_, testing::EndsWith("\r\n\r\n0\r\n\r\n"));
}

TEST_F(SenderTest, SendsWhatAStreamWritesAtOnce) {
  const auto sent = send_unread(stream([this](Writer& writer) {
    writer.write("now");
    char bytes[4096];
    const ssize_t size = recv(theirs_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    ASSERT_GT(size, 0);
    EXPECT_THAT(std::string(bytes, static_cast<std::size_t>(size)),
                testing::EndsWith("3\r\nnow\r\n"));
  }));
  EXPECT_TRUE(sent.whole);
}

TEST_F(SenderTest, AnswersAStreamThatThrowsBeforeItsFirstByteBy500) {
  const auto sent = send(stream([](Writer&) { throw std::runtime_error("no database"); }));
  EXPECT_TRUE(sent.whole);
  EXPECT_TRUE(sent.threw);
  EXPECT_EQ(sent.status, 500);
  EXPECT_EQ(received_, kError);
  EXPECT_THAT(log_text(), HasSubstr("the application threw while it streamed: no database"));
}

TEST_F(SenderTest, CutsAStreamThatThrowsLater) {
  const auto sent = send(stream([](Writer& writer) {
    writer.write("part");
    throw 42;
  }));
  EXPECT_FALSE(sent.whole);
  EXPECT_TRUE(sent.threw);
  EXPECT_EQ(sent.status, 200);
  EXPECT_THAT(received_, testing::EndsWith("4\r\npart\r\n"));
  EXPECT_THAT(log_text(), HasSubstr("while it streamed: something that is no std::exception"));
}

TEST_F(SenderTest, TellsAStreamThatTheClientHasLeft) {
  theirs_.reset();
  int writes = 0;
  const auto sent = send_unread(stream([&](Writer& writer) {
    while (writer.write("more") && writes < 1000) {
      ++writes;
    }
    EXPECT_FALSE(writer.write("still not"));
    EXPECT_FALSE(writer.write(""));
  }));
  EXPECT_EQ(writes, 0);
  EXPECT_FALSE(sent.whole);
  EXPECT_EQ(sent.bytes, 0U);
  EXPECT_THAT(log_text(), HasSubstr("the response was not taken: Broken pipe"));
}

TEST_F(SenderTest, GivesUpAPeerThatTakesNothing) {
  const std::string much(10000000, 'x');
  const auto give_up = [&](const Response& response) {
    const auto sent = send_unread(response, kKept, 50ms);
    EXPECT_FALSE(sent.whole);
    EXPECT_LT(sent.bytes, much.size());
  };
  give_up(Response::file(make(much), ""));
  EXPECT_THAT(log_text(), HasSubstr("took nothing for socket-timeout"));
  give_up(stream([&](Writer& writer) { EXPECT_FALSE(writer.write(much)); }));
}

}  // namespace
}  // namespace forktail::server
