#include "story/search/collector.h"

#include <algorithm>
#include <array>

namespace forktail::story {
namespace {

// A line that goes on with the one before it: a traceback's.
bool continues(const Event& event) {
  return event.stamp.at == kUnknown && event.id.empty() && event.kind == Kind::plain;
}

bool may_explain(std::string_view text) {
  static constexpr std::array<std::string_view, 8> kWords{
      "HARAKIRI", "DAMN !", "WORKER TIMEOUT", "SIG", "ut of memory", "exited", "signal", "[pid: "};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

}  // namespace

Collector::Collector(const IdQuery& query, const ReaderOptions& options, int source,
                     Collected& into)
    : query_(query),
      needles_(query.needles().begin(), query.needles().end()),
      reader_(options),
      source_(source),
      into_(into) {}

bool Collector::holds_needle(std::string_view text) const {
  return std::any_of(needles_.begin(), needles_.end(), [&](const Needle& needle) {
    return needle.find(text) != std::string_view::npos;
  });
}

bool Collector::keep(Event&& event) {
  bytes_ += event.raw.size() * 2 + sizeof(Event);
  if (bytes_ > kMostBytes) {
    ++into_.left_out;
    return false;
  }
  into_.events.push_back(std::move(event));
  return true;
}

std::optional<Event> Collector::take(const Line& line) {
  auto event = reader_.read(line.text);
  if (!event) {
    last_end_ += last_end_ == line.offset ? line.size : 0;
    return event;
  }
  event->source = source_;
  event->offset = line.offset;
  event->broken |= line.cut;
  const bool held = holds_needle(event->raw) || (line.cut && holds_needle(line.text));
  if (held && !query_.matches(event->id)) {
    const std::string_view word = query_.word_in(event->raw);
    if (word.empty()) {
      // Within a longer word: somebody else's.
    } else if (event->id.empty() || event->kind == Kind::app || event->kind == Kind::plain) {
      event->id = word;
    } else {
      ++into_.mentions;
    }
  }
  if (query_.matches(event->id)) {
    last_end_ = line.offset + line.size;
    last_ = *event;
    keep(Event(*event));
    return event;
  }
  if (line.offset == last_end_ && continues(*event)) {
    last_end_ += line.size;
    Event drawn = std::move(*event);
    drawn.drawn = true;
    drawn.stamp = last_.stamp;
    drawn.id = last_.id;
    drawn.pid = last_.pid;
    drawn.worker = last_.worker;
    keep(std::move(drawn));
    return std::nullopt;
  }
  std::optional<Event> seen = *event;
  consider(std::move(*event));
  return seen;
}

void Collector::take_alone(const Line& line) { take(line); }

void Collector::take_quickly(const Line& line) {
  if (line.text.empty()) {
    return;
  }
  if (line.offset == last_end_ || holds_needle(line.text) || may_explain(line.text) ||
      line.text.starts_with("{\"log\":") ||
      line.text.substr(0, 64).find(" std") != std::string_view::npos) {
    take(line);
  }
}

void Collector::consider(Event&& event) {
  const bool explains = event.kind == Kind::death || event.kind == Kind::nginx_error ||
                        event.kind == Kind::request || event.event == "worker_died";
  if (!explains || !event.id.empty()) {
    return;
  }
  auto& kept = into_.bystanders;
  if (kept.size() >= kMostBystanders) {
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(kMostBystanders / 2));
  }
  event.drawn = true;
  event.raw.resize(std::min<std::size_t>(event.raw.size(), 2048));
  kept.push_back(std::move(event));
}

}  // namespace forktail::story
