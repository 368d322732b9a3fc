#include "story/search/window.h"

#include <algorithm>

namespace forktail::story {
namespace {

constexpr std::uint64_t kMostBytes = UINT64_C(256) << 20;
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kBuffer = kLongestLine + (64U << 10);
constexpr Micros kSlack = 250 * kMillisecond;
constexpr Micros kWidestSlack = 64 * kSecond;
constexpr Micros kManyLines = 2 * kSecond;
constexpr std::uint64_t kTimeEvery = 64;  // lines, where not every line is looked at

bool ends_request(const Event& event) {
  return event.kind == Kind::access || event.kind == Kind::request || event.event == "lost" ||
         event.event == "answered";
}

}  // namespace

Window::Window(const Source& source, int index, const IdQuery& query, const FindOptions& options,
               SourceReport& report)
    : source_(source),
      index_(index),
      query_(query),
      options_(options),
      report_(report),
      bisection_(source, options.reader),
      time_(*query.time()),
      quick_(time_.to - time_.from > kManyLines) {
  report_.how = How::bisected;
  report_.pages = bisection_.pages();
  report_.skew = bisection_.skew();
}

void Window::note(const Event& event) {
  if (event.stamp.at == kUnknown) {
    return;
  }
  const Micros at = event.stamp.at - bisection_.skew();
  if (youngest_ != kUnknown && at + event.stamp.grain <= youngest_) {
    disorder_ = std::max(disorder_, youngest_ - at);
  }
  youngest_ = std::max(youngest_, at);
  grain_ = std::max(grain_, event.stamp.grain);
  if (ends_request(event) && query_.matches(event.id)) {
    end_ = std::max(end_.value_or(kUnknown), at + event.stamp.grain);
  }
}

void Window::read_until(Micros until, Collected& into, bool to_its_end) {
  Micros slack = kSlack;
  for (;;) {
    if (begun_) {
      read_stretch(time_.from - slack, until, into, to_its_end);
      return;
    }
    const Collected before = into;
    // Lines that are out of order by more than was reckoned with: from farther in front, then.
    if (read_stretch(time_.from - slack, until, into, to_its_end) || slack >= kWidestSlack) {
      begun_ = true;
      return;
    }
    into = before;
    slack *= 16;
    collector_ = nullptr;
  }
}

// False when the lines were so far out of order that some may stand in front of where it began.
bool Window::read_stretch(Micros from, Micros until, Collected& into, bool to_its_end) {
  if (collector_ == nullptr) {
    const Micros wanted = from - std::max(bisection_.first()->grain, bisection_.last()->grain);
    at_ = bisection_.find(wanted);
    collector_ = std::make_unique<Collector>(query_, options_.reader, index_, into);
    report_.looked_from = wanted;
    youngest_ = kUnknown;
    disorder_ = 0;
    end_.reset();
  }
  const std::uint64_t begin = at_;
  const auto stream = source_.range(at_, source_.size());
  LineReader lines(*stream, at_, kBuffer);
  Line line;
  std::uint64_t count = 0;
  const Micros slack = time_.from - from;
  while (lines.next(line)) {
    if (!line.ended && line.offset + line.size < source_.size()) {
      break;
    }
    at_ = line.offset + line.size;
    if (quick_ && ++count % kTimeEvery != 0) {
      collector_->take_quickly(line);
    } else if (const auto event = collector_->take(line)) {
      note(*event);
    }
    const Micros stop = to_its_end && end_ ? *end_ + kSlack : until;
    if ((youngest_ != kUnknown && youngest_ > stop + grain_) || at_ - begin > kMostBytes) {
      break;
    }
  }
  if (!stream->trouble().empty()) {
    report_.note = stream->trouble();
  }
  report_.bytes += at_ - begin;
  report_.pages = bisection_.pages() + (at_ - begin + kPage - 1) / kPage;
  report_.looked_until = std::max(report_.looked_until, youngest_);
  return disorder_ <= slack / 2;
}

}  // namespace forktail::story
