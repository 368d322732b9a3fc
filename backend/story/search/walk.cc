#include "story/search/walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "story/search/ahead.h"
#include "story/search/bisect.h"
#include "story/search/carried.h"
#include "story/source/line_reader.h"

namespace forktail::story {
namespace {

constexpr Micros kLateLines = 2 * kSecond;
constexpr std::uint64_t kTellEvery = UINT64_C(8) << 20;
constexpr int kMostThreads = 6;  // one visits: more of them wait for it

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

class Walk {
 public:
  Walk(const Sources& sources, const WalkOptions& options,
       const std::function<bool(Event&, bool)>& visit)
      : sources_(sources), options_(options), visit_(visit) {
    const auto processors = static_cast<int>(std::thread::hardware_concurrency());
    threads_ = std::clamp(options.threads > 0 ? options.threads : processors, 1, kMostThreads);
    for (const auto& source : sources) {
      total_ += source->size();
    }
  }

  Walked run() {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const Source& source = *sources_[i];
      if (ended_before(source)) {
        continue;
      }
      const Part part = part_of(source, options_);
      source.expect_all();
      const bool small = part.to - std::min(part.from, part.to) <= ReadAhead::kShare;
      const bool alone = !source.seekable() || small || threads_ == 1 || carried_in_parts(source);
      const std::string trouble = alone ? read_alone(i, part) : read_ahead(i, part);
      if (!trouble.empty()) {
        walked_.troubles.push_back(fmt::format("{}: {}", source.name(), trouble));
      }
    }
    return std::move(walked_);
  }

 private:
  // A packed log can not be looked into, but was last written before all that is wanted.
  bool ended_before(const Source& source) const {
    constexpr Micros kMargin = 3600 * kSecond;  // a copy's time can be off
    return source.packing() != Packing::none && source.packing() != Packing::pipe &&
           options_.only.from != kUnknown && source.written() < options_.only.from - kMargin;
  }

  bool take(Event& event, bool ended, Micros skew) {
    event.stamp.at -= event.stamp.at == kUnknown ? 0 : skew;
    return !within(event, options_.only) || visit_(event, ended);
  }

  void tell_progress() {
    if (options_.progress && walked_.bytes - told_ > kTellEvery) {
      told_ = walked_.bytes;
      options_.progress(walked_.bytes, total_);
    }
  }

  // Both return why the log could not be read to its end; empty when it could.
  std::string read_alone(std::size_t index, const Part& part) {
    const Source& source = *sources_[index];
    const bool seekable = source.seekable();
    const auto stream = seekable ? source.range(part.from, source.size()) : source.stream();
    LineReader lines(*stream, seekable ? part.from : 0);
    Reader reader(options_.reader);
    Line line;
    while (lines.next(line) && (!seekable || line.offset < part.to)) {
      ++walked_.lines;
      walked_.bytes += line.size;
      auto event = reader.read(line.text);
      if (!event) {
        continue;
      }
      event->source = static_cast<int>(index);
      event->offset = line.offset;
      event->broken |= line.cut;
      if (!take(*event, line.ended, part.skew)) {
        break;
      }
      tell_progress();
    }
    return stream->trouble();
  }

  std::string read_ahead(std::size_t index, const Part& part) {
    ReadAhead ahead(*sources_[index], static_cast<int>(index), options_.reader, part.from, part.to,
                    threads_);
    std::string trouble;
    for (ReadShare share; ahead.next(share);) {
      walked_.lines += share.count;
      walked_.bytes += share.bytes;
      trouble = trouble.empty() ? share.trouble : trouble;
      for (ReadLine& line : share.lines) {
        if (!take(line.event, line.ended, part.skew)) {
          return trouble;
        }
      }
      tell_progress();
    }
    return trouble;
  }

  const Sources& sources_;
  const WalkOptions& options_;
  const std::function<bool(Event&, bool)>& visit_;
  int threads_ = 1;
  std::uint64_t total_ = 0;
  std::uint64_t told_ = 0;
  Walked walked_;
};

}  // namespace

Walked walk(const Sources& sources, const WalkOptions& options,
            const std::function<bool(Event&, bool)>& visit) {
  return Walk(sources, options, visit).run();
}

}  // namespace forktail::story
