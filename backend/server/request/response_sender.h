// Sends one response over one connection: head and string, file or stream.
//
// Made for each response, on the stack of the thread that serves the connection. Nothing throws:
// what the function of a stream throws ends here. Each failure leaves a line with the id.
#pragma once

#include <fmt/format.h>
#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "forktail/response.h"
#include "log/sink.h"
#include "server/request/connection.h"

namespace forktail::server {

// The 500 that stands in for what the application failed to answer.
Response internal_error(std::string_view id);

class ResponseSender {
 public:
  // What request and connection ask of the response.
  struct Terms {
    std::string_view id;
    bool head_request = false;
    bool keep = false;    // the connection stays open; the head says so
    bool chunks = false;  // the peer understands chunked framing; true if `keep` is
  };

  struct Sent {
    int status = 0;           // 500 when the response could not be sent as it was
    std::uint64_t bytes = 0;  // of the body, as far as the kernel took them
    bool whole = false;
    bool threw = false;  // the stream's function did
    // How long the stream's function was at work, the writing left out.
    std::chrono::nanoseconds producing{};
  };

  // `patience` bounds each wait for the peer; `head` is memory for the head.
  ResponseSender(Connection& connection, log::Sink& sink, std::chrono::milliseconds patience,
                 const Terms& terms, std::string& head)
      : connection_(connection), sink_(sink), patience_(patience), terms_(terms), head_(head) {}

  Sent send(const Response& response);

 private:
  class Stream;

  Sent send_string(const Response& response);
  Sent send_file(const Response& response);
  Sent send_stream(const Response& response);
  bool transmit(std::span<iovec> parts, bool more_follows = false);
  bool done(Connection::Outcome outcome);
  void log(log::EventKind kind, std::string_view message, std::string_view reason) {
    sink_.write(kind, terms_.id, fmt::format("{}: {}", message, reason), {{"reason", reason}});
  }

  Connection& connection_;
  log::Sink& sink_;
  const std::chrono::milliseconds patience_;
  const Terms& terms_;
  std::string& head_;
};

}  // namespace forktail::server
