// One request to a server, over HTTP or over the uwsgi protocol, and its answer.
//
// Used by one thread, which a call blocks for its time limit at most. Raises no SIGPIPE.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "wire/address.h"
#include "wire/response_reader.h"

namespace forktail::doctor {

struct Target {
  wire::Address address;
  bool http = false;  // else the uwsgi protocol
  std::string host;   // for the header
};

// "http://HOST[:PORT]", "http://unix:/PATH", or a uwsgi socket: "/PATH", "@NAME", "HOST:PORT".
// Throws std::invalid_argument that names what is wrong and what would be right.
Target parse_target(const std::string& text);

// A question that is asked once. Its connection is closed when it goes.
class Question {
 public:
  // Connects and sends `request` ("GET /path") with the id `id`. Throws std::runtime_error when
  // nobody listens.
  Question(const Target& target, std::string_view request, std::string_view id,
           std::chrono::milliseconds limit);
  ~Question();
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  // Waits for the rest of the answer; false when it is not there in time, and may be waited for
  // again. Throws std::runtime_error when the connection ends before the answer does, or what comes
  // is none.
  bool wait(std::chrono::milliseconds limit);

  [[nodiscard]] const wire::ClientResponse& answer() { return reader_.response(); }

 private:
  void send_all(std::string_view bytes, std::chrono::milliseconds limit) const;

  const std::string where_;
  int socket_ = -1;
  wire::ResponseReader reader_;
};

}  // namespace forktail::doctor
