#include "story/read/reader.h"

#include "story/read/dialects.h"
#include "story/text.h"

namespace forktail::story {
namespace {

constexpr std::size_t kLongestShown = 8192;

void understand(std::string_view text, const ReaderOptions& options, Event& event) {
  const Micros now = options.now;
  if (read_json(text, event, now) || read_nginx_error(text, event, now) ||
      read_forktail_text(text, event, now) || read_process_line(text, event, now)) {
    return;
  }
  event = {};
  if (read_access(text, options.formats, event, now)) {
    return;
  }
  event = {};
  if (read_ltsv(text, event, now)) {
    return;
  }
  event = {};
  read_plain(text, event, now);
}

}  // namespace

std::optional<Event> Reader::read(std::string_view line) {
  Unwrapped unwrapped;
  if (!unwrapper_.take(line, unwrapped)) {
    return std::nullopt;
  }
  Event event;
  understand(unwrapped.text, options_, event);
  if (event.stamp.at == kUnknown) {
    event.stamp = unwrapped.stamp;
  } else if (!event.stamp.zoned && unwrapped.stamp.at != kUnknown && unwrapped.stamp.zoned &&
             event.kind != Kind::request) {
    event.stamp = unwrapped.stamp;  // the carrier knows its zone
  }
  if (event.stamp.at != kUnknown && !event.stamp.zoned) {
    event.stamp.at -= options_.zone;
    event.stamp.zoned = true;
  }
  if (event.service.empty()) {
    event.service = unwrapped.service;
  }
  if (event.pid == 0) {
    event.pid = unwrapped.pid;
  }
  event.raw = unwrapped.text.substr(0, kLongestShown);
  return event;
}

std::optional<Stamp> Reader::time_of(std::string_view line) {
  const auto event = read(line);
  if (!event || event->stamp.at == kUnknown) {
    return std::nullopt;
  }
  return event->stamp;
}

}  // namespace forktail::story
