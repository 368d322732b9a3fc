#include "wire/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "wire/packet.h"

namespace forktail::wire {
namespace {

constexpr std::size_t kReceiveSize = 65536;

std::string error_text(int error) { return std::generic_category().message(error); }

std::string connect_failure(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
      return "can not connect (" + error_text(error) + "): is the server running there?";
    case EACCES:
      return "can not connect (" + error_text(error) + "): see chmod-socket and chown-socket";
    default:
      return "can not connect: " + error_text(error);
  }
}

}  // namespace

Client::~Client() { disconnect(); }

ClientResponse Client::request(const ClientRequest& request, std::chrono::milliseconds timeout) {
  begin_call(timeout);
  const std::vector<Header> named = cgi_variables(request);
  std::vector<Variable> variables;
  variables.reserve(named.size());
  for (const auto& [name, value] : named) {
    variables.push_back({name, value});
  }
  const std::string message = make_packet(kModifierRequest, 0, variables) + request.body;

  if (connected() && given_back()) {
    disconnect();
  }
  if (!connected()) {
    connect();
  }
  std::string_view unsent = message;
  ResponseReader reader(request.method == "HEAD");
  try {
    while (!reader.complete()) {
      const std::string_view bytes = exchange(unsent);
      bytes.empty() ? reader.end() : reader.feed(bytes);
    }
  } catch (const MalformedResponse& error) {
    fail(error.what());
  }
  ClientResponse response = std::move(reader.response());
  response.kept = response.kept && request.keep && unsent.empty();
  if (!response.kept) {
    disconnect();
  }
  return response;
}

std::chrono::microseconds Client::ping(std::chrono::milliseconds timeout) {
  begin_call(timeout);
  const auto start = Clock::now();
  disconnect();
  connect();
  const std::string packet = make_packet(kModifierPing, 0, {});
  std::string_view unsent = packet;
  std::string answer;
  while (answer.size() < kHeaderSize) {
    const std::string_view bytes = exchange(unsent);
    if (bytes.empty()) {
      fail("the connection was closed before the ping's answer came");
    }
    answer += bytes;
  }
  const PacketHeader header = read_header(std::span<const char, kHeaderSize>(answer.data(), 4));
  if (header.datasize != 0 || header.modifier2 != 1) {
    fail("the answer to the ping is not one: modifier2 is " + std::to_string(header.modifier2) +
         " and the size " + std::to_string(header.datasize) + ", not 1 and 0");
  }
  disconnect();
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
}

void Client::begin_call(std::chrono::milliseconds timeout) {
  timeout_ = timeout;
  deadline_ = Clock::now() + timeout;
}

int Client::milliseconds_left() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
}

void Client::connect() {
  socket_ = socket(address_.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) {
    fail("can not make a socket: " + error_text(errno));
  }
  // connect() honours the send timeout, for unix sockets too, whose non-blocking connect could not
  // be waited for; zero would mean for ever.
  const std::chrono::milliseconds left(std::max(milliseconds_left(), 1));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timeval limit{seconds.count(), std::chrono::microseconds(left - seconds).count()};
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (::connect(socket_, address_.get(), address_.size) != 0) {
    const int error = errno;
    if (error == EAGAIN || error == EINPROGRESS) {
      fail_by_timeout("no connection");
    }
    fail(connect_failure(error));
  }
}

void Client::disconnect() {
  if (connected()) {
    close(socket_);
    socket_ = -1;
  }
}

// Nothing may come on an idle connection but its end or the notice that it will.
bool Client::given_back() const {
  char byte = 0;
  return recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

// Sends what it can of `unsent` and takes it off, until something has been received, which it
// returns; "" when the stream has ended. Doing both at once is what a large body needs: the server
// may answer before it has read all of it, or never read it.
std::string_view Client::exchange(std::string_view& unsent) {
  received_.resize(kReceiveSize);
  for (;;) {
    pollfd waiting{socket_, static_cast<short>(unsent.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    if (poll(&waiting, 1, milliseconds_left()) == 0) {
      fail_by_timeout("no complete answer");
    }
    if ((waiting.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const ssize_t size = recv(socket_, received_.data(), received_.size(), MSG_DONTWAIT);
      if (size >= 0) {
        return std::string_view(received_).substr(0, static_cast<std::size_t>(size));
      }
      if (errno != EAGAIN && errno != EINTR) {
        fail("the connection broke before the answer was complete: " + error_text(errno));
      }
    }
    if ((waiting.revents & POLLOUT) != 0) {
      const ssize_t size = send(socket_, unsent.data(), unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size >= 0) {
        unsent.remove_prefix(static_cast<std::size_t>(size));
      } else if (errno != EAGAIN && errno != EINTR) {
        unsent = {};  // the server reads no more; its answer may still have come
      }
    }
  }
}

void Client::fail(const std::string& cause) {
  disconnect();
  throw ClientError(address_.text + ": " + cause);
}

void Client::fail_by_timeout(const std::string& what) {
  fail(what + " within " + std::to_string(timeout_.count()) + " ms");
}

}  // namespace forktail::wire
