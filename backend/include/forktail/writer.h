// Where the function of a Response::stream() writes the body.
#pragma once

#include <string_view>

namespace forktail {

// Belongs to the server and lives as long as the call of that function; used by the thread that
// runs it, or by others if it waits for them and only one writes at a time.
class Writer {
 public:
  // Sends `bytes` at once; nothing is held back, so write in pieces of some kilobytes where nobody
  // waits for the single line. Waits while the client is slower than the application. False when
  // the client has left or took nothing for `socket-timeout`: nothing is sent any more, so stop
  // producing and return.
  virtual bool write(std::string_view bytes) = 0;

  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 protected:
  Writer() = default;
  ~Writer() = default;
};

}  // namespace forktail
