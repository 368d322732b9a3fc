#include "story/search/find.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "story/search/scan.h"
#include "story/search/window.h"

namespace forktail::story {
namespace {

class Finding {
 public:
  Finding(const Sources& sources, const IdQuery& query, const FindOptions& options)
      : sources_(sources), query_(query), options_(options), collected_(sources.size()) {
    found_.reports.resize(sources.size());
    windows_.resize(sources.size());
  }

  Found run() {
    const bool by_time = query_.time() && !options_.scan;
    std::vector<std::size_t> whole;
    std::vector<std::size_t> unlikely;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (!by_time || sources_[i]->packing() == Packing::pipe) {
        whole.push_back(i);
      } else if (sources_[i]->seekable()) {
        look_near(i, whole, unlikely);
      } else if (may_hold(i)) {
        whole.push_back(i);
      } else {
        unlikely.push_back(i);
      }
    }
    widen();
    scan(whole);
    if (empty() && !unlikely.empty()) {
      found_.scanned = true;
      forget_windows();
      scan(unlikely);
    } else if (empty() && by_time) {
      found_.scanned = true;
    }
    gather();
    return std::move(found_);
  }

 private:
  // Requests that take longer are found when something tells their end.
  static constexpr Micros kFirstLook = kSecond;

  void look_near(std::size_t i, std::vector<std::size_t>& whole,
                 std::vector<std::size_t>& unlikely) {
    auto window = std::make_unique<Window>(*sources_[i], static_cast<int>(i), query_, options_,
                                           found_.reports[i]);
    if (!window->usable()) {
      whole.push_back(i);
      return;
    }
    unlikely.push_back(i);
    windows_[i] = std::move(window);
    windows_[i]->read_until(query_.time()->to + kFirstLook, collected_[i], true);
  }

  bool empty() const {
    return std::all_of(collected_.begin(), collected_.end(),
                       [](const Collected& one) { return one.events.empty(); });
  }

  std::optional<Micros> end() const {
    std::optional<Micros> end;
    for (const auto& window : windows_) {
      if (window && window->end()) {
        end = std::max(end.value_or(kUnknown), *window->end());
      }
    }
    return end;
  }

  // Until the end of the request is known, and to it in each log.
  void widen() {
    static constexpr std::array<Micros, 3> kSteps{10 * kSecond, 60 * kSecond, 600 * kSecond};
    const bool began = !empty();
    for (const Micros step : kSteps) {
      if (end() || (!began && step > kSteps[1])) {
        break;
      }
      for (std::size_t i = 0; i < windows_.size(); ++i) {
        if (windows_[i]) {
          windows_[i]->read_until(query_.time()->to + step, collected_[i], true);
        }
      }
    }
    const auto until = end();
    for (std::size_t i = 0; until && i < windows_.size(); ++i) {
      if (windows_[i]) {
        windows_[i]->read_until(*until + kFirstLook, collected_[i], false);
      }
    }
  }

  // A packed log: whether its first line and its last write enclose the time.
  bool may_hold(std::size_t i) {
    constexpr Micros kMargin = 3600 * kSecond;  // a zone is not known yet, a file's time can be off
    const Source& source = *sources_[i];
    const auto stream = source.stream();
    LineReader lines(*stream);
    Reader reader(options_.reader);
    Line line;
    for (int count = 0; count < 20 && lines.next(line); ++count) {
      if (const auto stamp = reader.time_of(line.text)) {
        const bool begins_later = stamp->at > query_.time()->to + kMargin;
        const bool ended_before = source.written() < query_.time()->from - kMargin;
        found_.reports[i].note = begins_later   ? "not unpacked: it begins later"
                                 : ended_before ? "not unpacked: it ended before"
                                                : "";
        return !begins_later && !ended_before;
      }
    }
    return true;
  }

  void forget_windows() {
    for (auto& window : windows_) {
      window = nullptr;
    }
  }

  void scan(const std::vector<std::size_t>& wanted) {
    for (const std::size_t i : wanted) {
      collected_[i] = {};
      found_.reports[i] = {};
    }
    if (!wanted.empty()) {
      scan_sources(sources_, wanted, query_, options_, collected_, found_.reports);
    }
  }

  bool within(const Event& event) const {
    const TimeRange& only = options_.only;
    return event.stamp.at == kUnknown || ((only.from == kUnknown || event.stamp.at >= only.from) &&
                                          (only.to == kUnknown || event.stamp.at < only.to));
  }

  void gather() {
    for (std::size_t i = 0; i < collected_.size(); ++i) {
      Collected& one = collected_[i];
      SourceReport& report = found_.reports[i];
      report.lines = one.events.size();
      found_.mentions += one.mentions;
      found_.left_out += one.left_out;
      put_right(one, report);
      for (Event& event : one.events) {
        if (within(event)) {
          found_.events.push_back(std::move(event));
        }
      }
      std::move(one.bystanders.begin(), one.bystanders.end(),
                std::back_inserter(found_.bystanders));
    }
  }

  // Where a log is off by a zone or a clock, so that all logs agree.
  static void put_right(Collected& one, const SourceReport& report) {
    if (report.skew == 0) {
      return;
    }
    for (auto* events : {&one.events, &one.bystanders}) {
      for (Event& event : *events) {
        event.stamp.at -= event.stamp.at == kUnknown ? 0 : report.skew;
      }
    }
  }

  const Sources& sources_;
  const IdQuery& query_;
  const FindOptions& options_;
  std::vector<Collected> collected_;
  std::vector<std::unique_ptr<Window>> windows_;
  Found found_;
};

}  // namespace

Found find_id(const Sources& sources, const IdQuery& query, const FindOptions& options) {
  return Finding(sources, query, options).run();
}

}  // namespace forktail::story
