#include "story/read/dialects.h"
#include "story/read/fields.h"
#include "story/read/json_pairs.h"

namespace forktail::story {

bool read_json(std::string_view line, Event& event, Micros now) {
  if (!line.starts_with('{') && !line.starts_with(" {")) {
    return false;
  }
  const JsonPairs json = json_pairs(line);
  if (!json.is_object || json.pairs.empty()) {
    return false;
  }
  EventBuilder builder(event, now);
  for (const Pair& pair : json.pairs) {
    builder.add(pair.key, pair.value);
  }
  builder.finish();
  event.broken = json.broken;
  return true;
}

bool read_ltsv(std::string_view line, Event& event, Micros now) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.find('\t') == std::string_view::npos ||
      line.find('\t') < colon ||
      line.substr(0, colon).find_first_of(" \"[{") != std::string_view::npos) {
    return false;
  }
  EventBuilder builder(event, now);
  while (!line.empty()) {
    const std::size_t end = line.find('\t');
    const std::string_view part = line.substr(0, end);
    const std::size_t mark = part.find(':');
    if (mark != std::string_view::npos && part.substr(mark + 1) != "-") {
      const std::string_view name = part.substr(0, mark);
      builder.add(name == "host" ? "remote_addr" : name, part.substr(mark + 1));  // LTSV's word
    }
    line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  }
  builder.finish();
  return event.stamp.at != kUnknown;
}

}  // namespace forktail::story
