// One request to a server, over HTTP, HTTPS, FastCGI or the uwsgi protocol, and its answer.
//
// Used by one thread, which a call blocks for its time limit at most. Raises no SIGPIPE.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/ask/channel.h"
#include "doctor/ask/fastcgi.h"
#include "wire/address.h"
#include "wire/response_reader.h"

namespace forktail::doctor {

enum class Speech : std::uint8_t { uwsgi, http, fastcgi };

struct Target {
  wire::Address address;
  Speech speech = Speech::uwsgi;
  bool tls = false;
  std::string host;               // for the header
  std::vector<Header> variables;  // further ones, of uwsgi and FastCGI
};

// "http://HOST[:PORT]", "https://HOST[:PORT]", "http://unix:/PATH", "fcgi://HOST[:PORT]",
// "fcgi://unix:/PATH", or a uwsgi socket: "/PATH", "@NAME", "HOST:PORT". Throws
// std::invalid_argument that names what is wrong and what would be right.
Target parse_target(const std::string& text);

// A question that is asked once. Its connection is closed when it goes.
class Question {
 public:
  // Connects, to send `request` ("GET /path") with the id `id`. Throws std::runtime_error when
  // nobody listens.
  Question(const Target& target, std::string_view request, std::string_view id,
           std::chrono::milliseconds limit);

  // Sends what is not yet sent, and waits for the rest of the answer; false when it is not there in
  // time, and may be waited for again. Throws std::runtime_error when the connection ends before
  // the answer does, or what comes is none.
  bool wait(std::chrono::milliseconds limit);

  [[nodiscard]] const wire::ClientResponse& answer() { return reader_.response(); }

 private:
  bool go_on();
  void take(std::string_view bytes);

  const std::string where_;
  Channel channel_;
  std::string unsent_;
  bool fastcgi_;
  FastcgiReader records_;
  wire::ResponseReader reader_;
};

}  // namespace forktail::doctor
