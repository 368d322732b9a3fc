// Any bytes as a server's answer: however they are cut, the outcome is the same. The first byte
// says where they are cut, and whether the request was HEAD.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "wire/response_reader.h"

namespace {

using forktail::wire::ClientResponse;
using forktail::wire::MalformedResponse;
using forktail::wire::ResponseReader;

struct Outcome {
  bool complete = false;
  ClientResponse response;
};

Outcome read(std::string_view stream, std::size_t piece, bool head_request) {
  ResponseReader reader(head_request);
  try {
    for (std::size_t i = 0; i < stream.size(); i += piece) {
      reader.feed(stream.substr(i, piece));
    }
    reader.end();
  } catch (const MalformedResponse&) {
    return {};
  }
  return {reader.complete(), reader.response()};
}

void require(bool truth) {
  if (!truth) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const bool head_request = (bytes[0] & 1) != 0;
  const std::size_t piece = 1 + (bytes[0] >> 1);
  const std::string_view stream(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  const Outcome whole = read(stream, size, head_request);
  const Outcome cut = read(stream, piece, head_request);
  require(whole.complete == cut.complete);
  if (!whole.complete) {
    return 0;
  }
  require(whole.response.status >= 200 && whole.response.status <= 599);
  require(whole.response.status == cut.response.status);
  require(whole.response.head == cut.response.head);
  require(whole.response.body == cut.response.body);
  require(whole.response.kept == cut.response.kept);
  require(whole.response.headers.size() == cut.response.headers.size());
  require(whole.response.body.size() <= stream.size());
  require(!head_request || whole.response.body.empty());
  return 0;
}
