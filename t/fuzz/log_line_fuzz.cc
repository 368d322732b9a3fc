// Whatever bytes a client or an application puts into a line: it stays one line of valid JSON
// within the limit, and its text can be read back.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "log/json.h"
#include "log/line.h"

namespace {

using forktail::log::Event;
using forktail::log::Field;
using forktail::log::Format;
using forktail::log::kMaxLine;
using forktail::log::kMinLine;
using forktail::log::Line;

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

// Takes the input apart into texts and numbers.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  template <typename Number>
  Number number() {
    Number value{};
    const std::string_view bytes = take(sizeof(value));
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  // Now and then far longer than the input, so that every limit is met.
  std::string text() {
    const auto size = number<std::uint8_t>();
    const bool long_text = number<std::uint8_t>() % 8 == 0;
    const std::string_view unit = take(size);
    std::string text(unit);
    while (long_text && !unit.empty() && text.size() < 3 * kMaxLine) {
      text += unit;
    }
    return text;
  }

 private:
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest_;
};

// What docs/logs.md says the original of a JSON string is.
std::string original(const std::string& decoded) {
  std::string bytes;
  for (std::size_t i = 0; i < decoded.size();) {
    if (decoded.size() - i >= 3 && decoded[i] == '\xee' && (decoded[i + 1] & 0xfe) == 0xbe) {
      bytes.push_back(
          static_cast<char>((decoded[i + 1] & 1) << 6 | (decoded[i + 2] & 0x3f) | 0x80));
      i += 3;
    } else {
      bytes.push_back(decoded[i++]);
    }
  }
  return bytes;
}

void check(const Event& event, Format format, std::size_t limit, std::uint64_t seq) {
  Line composed(event, format, limit);
  const std::string_view line = composed.numbered(seq);
  require(!line.empty() && line.size() <= limit);
  require(line.find('\n') == line.size() - 1);
  unsigned char before = 0;
  for (const char c : line.substr(0, line.size() - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    require((byte >= 0x20 && byte != 0x7f) || (format == Format::text && c == '\t'));
    require(before != 0xc2 || byte >= 0xa0);  // C1 controls are C2 80 to C2 9F
    before = byte;
  }
  if (format == Format::text) {
    return;
  }
  const auto json = nlohmann::json::parse(line, nullptr, false);
  require(!json.is_discarded());
  require(json.at("seq") == seq);
  const std::string message = original(json.at("msg"));
  require(event.message.starts_with(message));
  if (event.fields.empty()) {  // whose cuts are counted as well
    require(json.contains("truncated") == (message.size() != event.message.size()));
    require(!json.contains("truncated") ||
            json["truncated"] == event.message.size() - message.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::string id = input.text();
  const std::string message = input.text();
  const std::string source = input.text();
  std::vector<std::string> texts(input.number<std::uint8_t>() % 8);
  std::vector<Field> fields;
  for (std::string& text : texts) {
    text = input.text();
    // Never the name of one of the line's own fields.
    const std::string_view name = text.size() > 200 ? std::string_view(text) : "field";
    switch (input.number<std::uint8_t>() % 3) {
      case 0:
        fields.push_back({name, std::string_view(text)});
        break;
      case 1:
        fields.push_back({name, input.number<std::int64_t>()});
        break;
      default:
        fields.push_back({name, std::chrono::nanoseconds(input.number<std::int64_t>())});
    }
  }

  Event event{};
  // A clock shows no year of five digits.
  event.time = std::chrono::system_clock::time_point(
      std::chrono::seconds(input.number<std::uint32_t>()) +
      std::chrono::microseconds(input.number<std::uint16_t>()));
  event.level = "info";
  event.request_id = id;
  if (input.number<std::uint8_t>() % 2 == 0) {
    event.trace = {id, id};
  }
  event.pid = input.number<int>();
  event.tid = input.number<int>();
  event.identity = {input.number<int>(), input.number<int>()};
  event.source_file = source;
  event.source_line = input.number<int>();
  event.message = message;
  event.fields = fields;
  const auto seq = input.number<std::uint64_t>();
  for (const std::size_t limit : {kMinLine, kMaxLine}) {
    for (const Format format : {Format::json, Format::text}) {
      check(event, format, limit, seq);
    }
  }
  return 0;
}
