// Any bytes as the lines of one request: they are told and drawn in every output.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "story/show/html.h"
#include "story/show/json.h"
#include "story/show/otlp.h"
#include "story/show/terminal.h"
#include "story/tell/story.h"

namespace {

void insist(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  namespace story = forktail::story;
  static const story::ReaderOptions options{story::known_formats(),
                                            INT64_C(1'795'845'700) * story::kSecond, 0};
  std::string_view text(reinterpret_cast<const char*>(data), size < 20'000 ? size : 20'000);
  story::Found found;
  story::Reader reader(options);
  while (!text.empty()) {
    const std::size_t feed = text.find('\n');
    if (auto event = reader.read(text.substr(0, feed))) {
      if (event->id.empty()) {
        event->drawn = true;
        found.bystanders.push_back(std::move(*event));
      } else {
        event->id = "the-one-request";
        found.events.push_back(std::move(*event));
      }
    }
    text.remove_prefix(feed == std::string_view::npos ? text.size() : feed + 1);
  }
  const story::Sources sources;
  const story::Story told = story::tell(std::move(found));
  for (const story::Request& request : told.requests) {
    for (const char c : story::as_text(request, sources, {})) {
      insist(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
    }
    insist(!request.verdict.empty());
  }
  insist(story::as_html(told, sources).find("<script") == std::string::npos);
  story::Found reading;
  insist(nlohmann::json::accept(story::as_json(told, sources, reading, "x")));
  const std::string spans = story::as_otlp(told);
  for (std::size_t at = 0; at < spans.size();) {
    const std::size_t feed = spans.find('\n', at);
    insist(nlohmann::json::accept(spans.substr(at, feed - at)));
    at = feed + 1;
  }
  return 0;
}
