// Reads a request's body piece by piece, for one that need not be in memory as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "forktail/api.h"

namespace forktail {

// A position in the body, from Request::body_stream(). A small value, used by one thread at a time;
// several of one request do not disturb each other. Valid as long as its Request.
class FORKTAIL_API BodyStream {
 public:
  // Fills `out` from the front and says how many bytes it took: fewer than there is room for only
  // at the end of the body, 0 behind it. It never waits for the client. Throws std::system_error
  // when a spooled body can not be read back.
  std::size_t read(std::span<char> out);

  // How many bytes are still to come.
  [[nodiscard]] std::uint64_t left() const { return body_.size() - position_; }

 private:
  friend class Request;
  BodyStream(std::string_view body, int file) : body_(body), file_(file) {}

  std::string_view body_;  // in memory, or mapped from `file_`
  int file_;               // -1: none
  std::uint64_t position_ = 0;
};

}  // namespace forktail
