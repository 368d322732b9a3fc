#include "story/join/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "story/join/tally.h"
#include "story/source/line_reader.h"
#include "story/text.h"

namespace forktail::story {

const std::array<FaultNames, kFaults> kFaultNames{{
    {"without_app_lines", "requests without a worker's line"},
    {"without_request", "workers' lines without a request"},
    {"duplicates", "ids that several requests share"},
    {"lost", "requests that died with their worker"},
    {"torn", "torn or invalid lines"},
    {"lost_lines", "lines lost (gaps in seq)"},
}};

namespace {

// A worker writes before nginx does, by as much as the request takes; what began this shortly
// before the log's end may still be running.
constexpr Micros kEdge = 2 * kSecond;

class Verifier {
 public:
  Verifier(const Sources& sources, const ReaderOptions& reader, std::size_t most_cases)
      : sources_(sources), reader_(reader), most_cases_(most_cases) {}

  bool take(const Event& event, bool ended) {
    ++result_.lines;
    if (event.source != source_) {
      source_ = event.source;
      last_seq_.clear();
    }
    note_torn(event, ended);
    note_gap(event);
    if (event.id.empty()) {
      return true;
    }
    Count count;
    count.first = event.stamp.at;
    count.offset = event.offset;
    count.source = static_cast<std::uint16_t>(event.source);
    switch (event.kind) {
      case Kind::access:
        count.access = 1;
        count.status = static_cast<std::uint16_t>(std::clamp(event.status, 0, 999));
        count.tries = tries_of(event);
        note_access(event);
        break;
      case Kind::request:
        count.served = 1;
        result_.app_log = true;
        break;
      case Kind::server:
        count.lost = event.event == "lost" ? 1 : 0;
        break;
      case Kind::app:
      case Kind::plain:
        count.app = 1;
        result_.app_log = true;
        break;
      default:
        return true;  // nginx's error lines join by the access line
    }
    tally_.add(event.id, count);
    return true;
  }

  Verification finish() {
    tally_.each([this](const Count& count) { judge(count); });
    for (auto& cases : result_.cases) {
      std::sort(cases.begin(), cases.end(),
                [](const Case& a, const Case& b) { return a.at < b.at; });
    }
    return std::move(result_);
  }

 private:
  // How many upstreams nginx asked; a log without such a field tells nothing: one.
  static std::uint16_t tries_of(const Event& event) {
    if (!event.upstreams.empty()) {
      return static_cast<std::uint16_t>(event.upstreams.size());
    }
    return event.raw.find("upstream") == std::string::npos && event.status != 400 ? 1 : 0;
  }

  void note_access(const Event& event) {
    result_.access_log = true;
    if (event.stamp.at != kUnknown) {
      first_access_ =
          first_access_ == kUnknown ? event.stamp.at : std::min(first_access_, event.stamp.at);
      last_access_ = std::max(last_access_, event.stamp.at);
    }
  }

  void add(Fault fault, Case one, std::uint64_t count = 1) {
    const auto i = static_cast<std::size_t>(fault);
    result_.counts[i] += count;
    auto& cases = result_.cases[i];
    if (cases.size() < most_cases_) {
      cases.push_back(std::move(one));
    }
  }

  std::string where(int source, std::uint64_t offset) const {
    return fmt::format("{}, byte {}", sources_[static_cast<std::size_t>(source)]->name(), offset);
  }

  void note_torn(const Event& event, bool ended) {
    // One of several objects in a line, or the beginning of one within it.
    const bool begins_inside = event.raw.find("{\"ts\":\"", 1) != std::string::npos &&
                               (event.seq >= 0 || event.kind == Kind::plain || event.broken);
    const bool unfinished = !ended && event.kind != Kind::plain && event.broken;
    if (event.broken || begins_inside || unfinished) {
      add(Fault::torn, {event.id, event.stamp.at, 0, where(event.source, event.offset)});
    }
  }

  // A process's lines are numbered in the order in which they stand in its log.
  void note_gap(const Event& event) {
    if (event.seq <= 0 || event.pid == 0 || last_seq_.size() > kMostProcesses) {
      return;
    }
    auto& last = last_seq_[event.pid];
    if (last > 0 && event.seq > last + 1) {
      add(Fault::lost_lines, {event.id, event.stamp.at, 0, where(event.source, event.offset)},
          static_cast<std::uint64_t>(event.seq - last - 1));
    }
    last = event.seq == 1 ? 1 : std::max(last, event.seq);
  }

  // An id that is no hexadecimal number stands in its line.
  std::string name_of(const Count& count) const {
    std::string id = story::id_of(count);
    if (!id.empty() || !sources_[count.source]->seekable()) {
      return id;
    }
    const auto stream = sources_[count.source]->range(count.offset, sources_[count.source]->size());
    LineReader lines(*stream, count.offset, 2 * kLongestLine);
    Line line;
    if (!lines.next(line)) {
      return {};
    }
    const auto event = Reader(reader_).read(line.text);
    return event ? event->id : std::string();
  }

  void judge(const Count& count) {
    const Micros at = count.first <= kUnknown + 1 ? kUnknown : count.first;
    const bool worker = count.served + count.app > 0;
    const auto one = [&] {
      return Case{name_of(count), at, count.status, where(count.source, count.offset)};
    };
    if (count.access > 0) {
      ++result_.requests;
      result_.by_nginx += count.tries == 0 ? 1 : 0;
      result_.with_lines += worker ? 1 : 0;
      if (count.tries > 0 && !worker && count.lost == 0 && result_.app_log && count.status != 499) {
        add(Fault::without_app_lines, one());
      }
    } else if (result_.access_log && worker) {
      const bool outside = at != kUnknown && (at < first_access_ || at > last_access_ - kEdge);
      result_.at_the_edge += outside ? 1 : 0;
      if (!outside) {
        add(Fault::without_request, one());
      }
    }
    if (count.access > 1 || count.served > std::max<unsigned>(count.tries, 1)) {
      add(Fault::duplicate, one());
    }
    if (count.lost > 0) {
      add(Fault::lost, one());
    }
  }

  static constexpr std::size_t kMostProcesses = 10'000;

  const Sources& sources_;
  const ReaderOptions& reader_;
  std::size_t most_cases_;
  int source_ = -1;
  Tally tally_;
  std::map<int, std::int64_t> last_seq_;
  Micros first_access_ = kUnknown;
  Micros last_access_ = kUnknown;
  Verification result_;
};

}  // namespace

bool Verification::good() const {
  return std::all_of(counts.begin(), counts.end(), [](std::uint64_t count) { return count == 0; });
}

Verification verify(const Sources& sources, const WalkOptions& options, std::size_t most_cases) {
  Verifier verifier(sources, options.reader, most_cases);
  const Walked walked =
      walk(sources, options, [&](Event& event, bool ended) { return verifier.take(event, ended); });
  Verification result = verifier.finish();
  result.troubles = walked.troubles;
  return result;
}

}  // namespace forktail::story
