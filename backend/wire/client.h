// The hand client: sends requests to a uwsgi server as nginx would, and waits for the answers.
//
// Owns at most one connection. Used by one thread, which a call blocks until its timeout at most.
// Raises no SIGPIPE. Made for the command line and for tests.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "wire/address.h"
#include "wire/cgi.h"
#include "wire/response_reader.h"

namespace forktail::wire {

// No complete answer came. what() names the address and the cause: nobody listens, the time is up,
// the connection was closed too early, or the answer is malformed.
class ClientError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Client {
 public:
  explicit Client(Address address) : address_(std::move(address)) {}
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Sends one request and returns its response; `timeout` is for all of it. The connection stays
  // open for the next call when the request and the response allow it, and one that the server has
  // given back meanwhile is replaced. Throws ClientError, and std::length_error for a request that
  // no packet can hold.
  ClientResponse request(const ClientRequest& request, std::chrono::milliseconds timeout);

  // uwsgi's ping, on a new connection. Returns how long it took from connecting to the answer.
  // Throws ClientError.
  std::chrono::microseconds ping(std::chrono::milliseconds timeout);

  [[nodiscard]] bool connected() const { return socket_ >= 0; }

 private:
  using Clock = std::chrono::steady_clock;

  void begin_call(std::chrono::milliseconds timeout);
  [[nodiscard]] int milliseconds_left() const;
  void connect();
  void disconnect();
  [[nodiscard]] bool given_back() const;
  std::string_view exchange(std::string_view& unsent);
  [[noreturn]] void fail(const std::string& cause);
  [[noreturn]] void fail_by_timeout(const std::string& what);

  const Address address_;
  int socket_ = -1;
  std::string received_;
  std::chrono::milliseconds timeout_{};
  Clock::time_point deadline_;
};

}  // namespace forktail::wire
