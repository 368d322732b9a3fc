// The FastCGI protocol (version 1), as much of it as one request without a body needs.
//
// Pure; any process and thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "forktail/header.h"

namespace forktail::doctor {

// The records of one request; the server is to close the connection behind its answer.
std::string fastcgi_request(const std::vector<Header>& variables);

// Takes records as they come, however they are cut, and gives what the application wrote: an answer
// as CGI has it.
class FastcgiReader {
 public:
  // Adds to `output`. Throws std::runtime_error when that is not FastCGI.
  void feed(std::string_view bytes, std::string& output);
  // The server has said that the request is answered.
  [[nodiscard]] bool over() const { return over_; }

 private:
  std::string buffer_;  // the beginning of a record whose end has not come
  bool over_ = false;
};

}  // namespace forktail::doctor
