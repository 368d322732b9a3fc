#include "story/search/walk.h"

#include <fmt/format.h>

#include <algorithm>

#include "story/search/bisect.h"

namespace forktail::story {
namespace {

constexpr Micros kLateLines = 2 * kSecond;
constexpr std::uint64_t kTellEvery = UINT64_C(8) << 20;

struct Part {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  Micros skew = 0;
};

Part part_of(const Source& source, const WalkOptions& options) {
  Part part{0, source.size(), 0};
  if (!source.seekable()) {
    return part;
  }
  Bisection bisection(source, options.reader);
  part.skew = bisection.skew();
  if (options.only.from != kUnknown) {
    part.from = bisection.find(options.only.from - kLateLines);
  }
  if (options.only.to != kUnknown) {
    constexpr std::uint64_t kMore = UINT64_C(1) << 20;  // late lines; those too late are left out
    part.to = std::min(part.to, bisection.find(options.only.to + kLateLines) + kMore);
  }
  return part;
}

bool within(const Event& event, const TimeRange& only) {
  return event.stamp.at == kUnknown || ((only.from == kUnknown || event.stamp.at >= only.from) &&
                                        (only.to == kUnknown || event.stamp.at < only.to));
}

}  // namespace

Walked walk(const Sources& sources, const WalkOptions& options,
            const std::function<bool(Event&, const Line&)>& visit) {
  Walked walked;
  std::uint64_t total = 0;
  for (const auto& source : sources) {
    total += source->size();
  }
  std::uint64_t told = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Source& source = *sources[i];
    const Part part = part_of(source, options);
    source.expect_all();
    const auto stream = source.seekable() ? source.range(part.from, part.to) : source.stream();
    LineReader lines(*stream, source.seekable() ? part.from : 0);
    Reader reader(options.reader);
    Line line;
    while (lines.next(line)) {
      ++walked.lines;
      walked.bytes += line.size;
      auto event = reader.read(line.text);
      if (!event) {
        continue;
      }
      event->source = static_cast<int>(i);
      event->offset = line.offset;
      event->broken |= line.cut;
      event->stamp.at -= event->stamp.at == kUnknown ? 0 : part.skew;
      if (within(*event, options.only) && !visit(*event, line)) {
        break;
      }
      if (options.progress && walked.bytes - told > kTellEvery) {
        told = walked.bytes;
        options.progress(walked.bytes, total);
      }
    }
    if (!stream->trouble().empty()) {
      walked.troubles.push_back(fmt::format("{}: {}", source.name(), stream->trouble()));
    }
  }
  return walked;
}

}  // namespace forktail::story
