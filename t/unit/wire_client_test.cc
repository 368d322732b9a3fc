#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "wire/client.h"
#include "wire_stub_server.h"

namespace {

using forktail::wire::Client;
using forktail::wire::ClientError;
using forktail::wire::ClientRequest;
using forktail::wire::ClientResponse;
using forktail::wire::parse_address;
using forktail::wire::StubConnection;
using forktail::wire::StubServer;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::string_literals;

constexpr milliseconds kPatience{10000};
constexpr milliseconds kHurry{50};

const std::string kHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

StubServer::Serve answering(const std::string& response) {
  return [response](const StubConnection& connection) {
    static_cast<void>(connection.receive_packet());
    connection.send(response);
  };
}

// Answers every request of a kept connection.
StubServer::Serve answering_on_kept(const std::string& response) {
  return [response](const StubConnection& connection) {
    while (!connection.receive_packet().empty()) {
      connection.send(response);
    }
  };
}

ClientResponse ask(const StubServer& server, const ClientRequest& request = {}) {
  Client client(parse_address(server.address()));
  return client.request(request, kPatience);
}

std::string failure_of(const std::string& address, milliseconds timeout = kPatience) {
  Client client(parse_address(address));
  try {
    client.request({}, timeout);
  } catch (const ClientError& error) {
    EXPECT_FALSE(client.connected());
    EXPECT_THAT(error.what(), StartsWith(address + ": "));
    return error.what();
  }
  ADD_FAILURE() << "got a response";
  return {};
}

std::string failure_with(const StubServer::Serve& serve, milliseconds timeout = kPatience) {
  const StubServer server(serve);
  return failure_of(server.address(), timeout);
}

TEST(Client, SendsVariablesAndBodyAndReturnsTheResponse) {
  for (const auto kind : {StubServer::Kind::unix_socket, StubServer::Kind::tcp}) {
    std::string packet;
    std::string body;
    ClientResponse response;
    {
      const StubServer server(
          [&](const StubConnection& connection) {
            packet = connection.receive_packet();
            body = connection.receive(4);
            connection.send(kHello);
          },
          kind);
      ClientRequest request;
      request.method = "POST";
      request.body = "b\0dy"s;
      response = ask(server, request);
    }
    EXPECT_THAT(packet, HasSubstr("REQUEST_METHOD\x04\x00POST"s));
    EXPECT_THAT(packet, HasSubstr("CONTENT_LENGTH\x01\x00"s + "4"));
    EXPECT_EQ(body, "b\0dy"s);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_FALSE(response.kept) << "it was not asked to keep the connection";
  }
}

TEST(Client, ReadsABodyThatOnlyTheEndOfTheStreamEnds) {
  const StubServer server(answering("HTTP/1.0 200 OK\r\n\r\nhello"));
  EXPECT_EQ(ask(server).body, "hello");
}

TEST(Client, ExpectsNoBodyAfterHead) {
  const StubServer server(answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
  ClientRequest request;
  request.method = "HEAD";
  EXPECT_EQ(ask(server, request).body, "");
}

TEST(Client, SendsSeveralRequestsOverAKeptConnection) {
  const StubServer server(answering_on_kept(kHello));
  Client client(parse_address(server.address()));
  ClientRequest request;
  request.keep = true;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(client.request(request, kPatience).kept);
  }
  EXPECT_TRUE(client.connected());
  EXPECT_EQ(server.connections(), 1);
}

TEST(Client, ConnectsAnewWhenTheServerDoesNotKeepOrItWasNotAsked) {
  const StubServer server(
      answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
  Client client(parse_address(server.address()));
  ClientRequest request;
  request.keep = true;
  EXPECT_FALSE(client.request(request, kPatience).kept);
  EXPECT_FALSE(client.connected());
  request.keep = false;
  EXPECT_FALSE(client.request(request, kPatience).kept);
  EXPECT_FALSE(client.connected());
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, ConnectsAnewWhenTheNoticeCameWithTheResponse) {
  const StubServer server(answering(kHello + "\r\n"));
  Client client(parse_address(server.address()));
  ClientRequest request;
  request.keep = true;
  EXPECT_EQ(client.request(request, kPatience).body, "hello");
  EXPECT_EQ(client.request(request, kPatience).body, "hello");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, ConnectsAnewWhenAKeptConnectionHasAnEndOrANoticeWaiting) {
  for (const std::string notice : {"", "\r\n"}) {
    std::promise<void> sent;
    std::promise<void> closed;
    {
      const StubServer server([&, first = true](const StubConnection& connection) mutable {
        static_cast<void>(connection.receive_packet());
        connection.send(kHello);
        if (first) {
          first = false;
          sent.get_future().wait();  // the response has been read: what follows is its own segment
          connection.finish(notice);
          closed.set_value();
          static_cast<void>(connection.receive(1));  // until the client closes
        }
      });
      Client client(parse_address(server.address()));
      ClientRequest request;
      request.keep = true;
      EXPECT_TRUE(client.request(request, kPatience).kept);
      sent.set_value();
      closed.get_future().wait();
      EXPECT_EQ(client.request(request, kPatience).body, "hello");
      EXPECT_EQ(server.connections(), 2);
    }
  }
}

TEST(Client, TakesAnAnswerThatComesBeforeTheBodyWasRead) {
  ClientRequest request;
  request.method = "POST";
  request.keep = true;
  request.body.assign(std::size_t{8} << 20, 'x');
  const std::string too_large = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
  const StubServer closing(answering(too_large));
  EXPECT_EQ(ask(closing, request).status, 413);
  const StubServer waiting([&](const StubConnection& connection) {
    static_cast<void>(connection.receive_packet());
    connection.send(too_large);
    static_cast<void>(connection.receive(request.body.size()));
  });
  const ClientResponse response = ask(waiting, request);
  EXPECT_EQ(response.status, 413);
  EXPECT_FALSE(response.kept) << "the rest of the body would be the next packet";
}

TEST(Client, SaysThatNobodyListens) {
  EXPECT_THAT(
      failure_of("/nonexistent/forktail.sock"),
      HasSubstr("can not connect (No such file or directory): is the server running there?"));
  std::string address;
  {
    const StubServer server(answering(kHello), StubServer::Kind::tcp);
    address = server.address();
  }
  EXPECT_THAT(failure_of(address), HasSubstr("can not connect (Connection refused)"));
}

TEST(Client, GivesUpWhenTheTimeIsUp) {
  const auto silent = [](const StubConnection& connection) {
    static_cast<void>(connection.receive_packet());
    static_cast<void>(connection.receive(1));  // until the client closes
  };
  EXPECT_THAT(failure_with(silent, kHurry), EndsWith("no complete answer within 50 ms"));
  const auto slow = [](const StubConnection& connection) {
    static_cast<void>(connection.receive_packet());
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    static_cast<void>(connection.receive(1));
  };
  EXPECT_THAT(failure_with(slow, kHurry), EndsWith("no complete answer within 50 ms"));
}

TEST(Client, GivesUpToConnectWhenTheTimeIsUp) {
  const std::string name = "@forktail-wire-test-" + std::to_string(getpid());
  const auto address = parse_address(name);
  std::vector<int> sockets{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(bind(sockets[0], address.get(), address.size), 0);
  ASSERT_EQ(listen(sockets[0], 1), 0);
  do {  // fill its queue
    sockets.push_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_LT(sockets.size(), 100U);
  } while (connect(sockets.back(), address.get(), address.size) == 0);
  EXPECT_THAT(failure_of(name, kHurry), EndsWith("no connection within 50 ms"));
  for (const int socket : sockets) {
    close(socket);
  }
}

TEST(Client, SaysThatTheConnectionWasClosedTooEarly) {
  EXPECT_THAT(failure_with(answering("")), EndsWith("closed before an answer came"));
  EXPECT_THAT(failure_with(answering("HTTP/1.1 20")),
              EndsWith("closed within the response's head"));
  EXPECT_THAT(failure_with(answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")),
              EndsWith("closed within the body, after 3 bytes of it"));
}

TEST(Client, SaysThatTheConnectionBroke) {
  // Closing with bytes unread resets the connection.
  EXPECT_THAT(failure_with([](const StubConnection& connection) {
                static_cast<void>(connection.receive(1));
              }),
              HasSubstr("the connection broke before the answer was complete: Connection reset"));
}

TEST(Client, SaysWhatIsMalformed) {
  EXPECT_THAT(failure_with(answering("hello\r\n")), HasSubstr("a name and a colon"));
  EXPECT_THAT(failure_with(answering("\x16\x03\x01\n")), HasSubstr("a name and a colon"));
}

TEST(Client, RefusesARequestThatNoPacketHolds) {
  Client client(parse_address("/nonexistent/forktail.sock"));
  ClientRequest request;
  request.headers = {{"X-Long", std::string(65536, 'x')}};
  EXPECT_THROW(client.request(request, kPatience), std::length_error);
}

TEST(Ping, MeasuresTheAnswer) {
  std::string packet;
  {
    const StubServer server([&](const StubConnection& connection) {
      packet = connection.receive(4);
      connection.send("\x64\x00\x00\x01"s);
    });
    Client client(parse_address(server.address()));
    EXPECT_GE(client.ping(kPatience).count(), 0);
    EXPECT_FALSE(client.connected());
  }
  EXPECT_EQ(packet, "\x64\x00\x00\x00"s);
}

TEST(Ping, SaysWhatIsWrongWithTheAnswer) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"\x64\x00\x00\x00"s, "modifier2 is 0 and the size 0, not 1 and 0"},
      {"\x64\x02\x00\x01"s, "modifier2 is 1 and the size 2, not 1 and 0"},
      {"\x64\x00"s, "the connection was closed before the ping's answer came"},
  };
  for (const auto& [answer, problem] : cases) {
    const StubServer server([&, text = answer](const StubConnection& connection) {
      static_cast<void>(connection.receive(4));
      connection.send(text);
    });
    Client client(parse_address(server.address()));
    try {
      client.ping(kPatience);
      FAIL() << "took it";
    } catch (const ClientError& error) {
      EXPECT_THAT(error.what(), AllOf(StartsWith(server.address()), EndsWith(problem)));
    }
  }
}

}  // namespace
