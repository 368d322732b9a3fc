// The line of a request in the log, and what it tells: where the time of the request went.
//
// One object a thread, used by that thread only, for one request after the other. Nothing throws.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "log/sink.h"
#include "server/request/connection.h"
#include "server/request/response_sender.h"
#include "server/shared/options.h"
#include "wire/request_head.h"

namespace forktail::server {

class RequestLine {
 public:
  using Clock = Connection::Clock;

  // Both must outlive it.
  RequestLine(const Options& options, log::Sink& sink) : options_(options), sink_(sink) {}

  // The way of a request, in this order. One that is refused is never at work.
  void begin();
  void came(std::optional<std::chrono::milliseconds> sent);  // its head; when it was sent to here
  void read() { read_ = handled_ = Clock::now(); }           // all of it
  void handled() { handled_ = Clock::now(); }

  [[nodiscard]] Clock::time_point begun() const { return begun_; }
  // How long the application was at work: before the response was sent, and for a stream during it.
  [[nodiscard]] Clock::duration handling(const ResponseSender::Sent& sent) const {
    return handled_ - read_ + sent.producing;
  }

  // The response has been sent: writes the line, unless that is switched off, and another one when
  // the request was slow.
  void write(std::string_view id, const wire::RequestHead& head, const ResponseSender::Sent& sent);

 private:
  void write_request(std::string_view id, const wire::RequestHead& head,
                     const ResponseSender::Sent& sent);
  void write_slow(std::string_view id, const wire::RequestHead& head, Clock::duration took);

  const Options& options_;
  log::Sink& sink_;
  Clock::time_point begun_;
  Clock::time_point read_;
  Clock::time_point handled_;
  std::chrono::nanoseconds queued_{};
  std::string message_;  // kept for its memory
};

}  // namespace forktail::server
