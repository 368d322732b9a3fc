// Any bytes as a packet's data: what is taken lies inside of them and is written back as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/http.h"
#include "wire/packet.h"
#include "wire/request_head.h"

namespace {

namespace wire = forktail::wire;

void require(bool truth) {
  if (!truth) {
    std::abort();
  }
}

bool lies_in(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

void check_header(std::string_view bytes) {
  const std::span<const char, wire::kHeaderSize> start(bytes.data(), wire::kHeaderSize);
  const wire::PacketHeader header = wire::read_header(start);
  if (header.modifier1 == wire::kModifierRequest || header.modifier1 == wire::kModifierPing) {
    require(wire::recognise_foreign(start).empty());
  }
}

void check_variables(std::string_view data) {
  std::vector<forktail::Variable> variables;
  if (!wire::parse_variables(data, variables).empty()) {
    return;
  }
  for (const auto& [name, value] : variables) {
    require(!name.empty() && lies_in(name, data) && lies_in(value, data));
  }
  if (data.size() <= wire::kMaxData) {
    require(wire::make_packet(0, 0, variables).substr(wire::kHeaderSize) == data);
  }
}

void check_head(std::string_view data, wire::RequestHead& head) {
  if (wire::read_head(data, head).empty()) {
    require(wire::is_token(head.method) && lies_in(head.method, data));
    require(!head.sent || head.sent->count() >= 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static wire::RequestHead head;  // kept, as a connection keeps it
  const std::string_view data(reinterpret_cast<const char*>(bytes), size);
  if (size >= wire::kHeaderSize) {
    check_header(data);
  }
  check_variables(data);
  check_head(data, head);
  return 0;
}
