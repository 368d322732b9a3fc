// Reads one response from a stream of bytes, however they are cut: a status line or CGI's
// `Status:`, headers, and a body framed by Content-Length, by chunks or by the stream's end.
//
// Owns what it has read; used by one thread. Made for a tool: it keeps a whole body in memory and
// limits nothing but the length of heads and lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "forktail/response.h"

namespace forktail::wire {

struct ClientResponse {
  int status = 0;
  std::vector<Header> headers;
  std::string body;   // decoded
  std::string head;   // as it came: status line, headers, empty line
  bool kept = false;  // the server lets the connection carry another request

  // The first value of `name`, in any case; empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

// What came is no response, or not all of it; what() says how.
class MalformedResponse : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class ResponseReader {
 public:
  static constexpr std::size_t kMaxHead = std::size_t{1} << 20;

  // `head_request`: the request's method is HEAD, so that no body follows.
  explicit ResponseReader(bool head_request) : head_request_(head_request) {}

  // Takes the next bytes. Empty lines before the status line and whole 1xx responses are skipped.
  // After the response only an empty line may follow: it is how a server gives a kept connection
  // back. Throws MalformedResponse.
  void feed(std::string_view bytes);

  // The stream has ended, which completes a body without another frame. Throws MalformedResponse
  // when more had to come.
  void end();

  [[nodiscard]] bool complete() const { return part_ == Part::done; }
  [[nodiscard]] ClientResponse& response() { return response_; }

 private:
  enum class Part {
    first_line,
    headers,
    sized_body,
    endless_body,
    chunk_size,
    chunk_data,
    chunk_end,
    trailer,
    done
  };

  bool step();
  bool take_line(std::string_view& line);
  bool take_data();
  void read_first_line(std::string_view line);
  void read_header(std::string_view line);
  void finish_head();
  void begin_body();
  void read_chunk_size(std::string_view line);
  void finish();

  const bool head_request_;
  Part part_ = Part::first_line;
  std::string buffer_;           // what came and is not yet read,
  std::size_t position_ = 0;     // from here on
  std::uint64_t remaining_ = 0;  // bytes of the body, or of the chunk
  bool persistent_ = false;      // an HTTP/1.1 status line
  ClientResponse response_;
};

}  // namespace forktail::wire
