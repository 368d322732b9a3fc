#include "story/search/scan.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "story/search/bisect.h"
#include "story/search/carried.h"
#include "story/source/mapped.h"

namespace forktail::story {
namespace {

constexpr std::uint64_t kShare = UINT64_C(32) << 20;  // of a file, for a thread at a time
constexpr std::uint64_t kPiece = UINT64_C(4) << 20;   // of a share, in memory at a time
constexpr std::size_t kSample = 32U << 10;
constexpr std::uint64_t kWorthASample = UINT64_C(16) << 20;
constexpr std::size_t kMostHits = 20'000;     // lines of one source
constexpr std::uint64_t kBefore = 32U << 10;  // of a hit, to look for bystanders
constexpr std::uint64_t kBehind = 64U << 10;
constexpr std::uint64_t kMostAround = UINT64_C(8) << 20;

struct Share {
  std::size_t source = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool stream = false;  // from its beginning to its end, by one thread
};

class Scan {
 public:
  Scan(const Sources& sources, const IdQuery& query, const FindOptions& options,
       std::vector<Collected>& into, std::vector<SourceReport>& reports)
      : sources_(sources),
        query_(query),
        needles_(query.needles().begin(), query.needles().end()),
        options_(options),
        into_(into),
        reports_(reports),
        hits_(sources.size()) {}

  void run(const std::vector<std::size_t>& wanted) {
    for (const std::size_t index : wanted) {
      add(index);
    }
    suit_needles(wanted);
    const auto cores = static_cast<std::size_t>(
        options_.threads > 0 ? options_.threads
                             : static_cast<int>(std::thread::hardware_concurrency()));
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < std::min(std::max<std::size_t>(cores, 1), shares_.size()); ++i) {
      threads.emplace_back([this] { work(); });
    }
    work();
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const std::size_t index : wanted) {
      collect(index);
    }
  }

 private:
  void add(std::size_t index) {
    const Source& source = *sources_[index];
    reports_[index].how = How::scanned;
    if (!source.seekable() || carried_in_parts(source)) {
      shares_.push_back({index, 0, source.size(), true});
      total_ += source.seekable() ? source.size() : 0;  // of others nobody knows
      return;
    }
    std::uint64_t from = 0;
    std::uint64_t to = source.size();
    constexpr Micros kMargin = 2 * kSecond;
    if (options_.only.from != kUnknown || options_.only.to != kUnknown) {
      Bisection bisection(source, options_.reader);
      from = options_.only.from == kUnknown ? from : bisection.find(options_.only.from - kMargin);
      to = options_.only.to == kUnknown ? to : bisection.find(options_.only.to + kMargin) + kBehind;
      to = std::min(to, source.size());
    }
    source.expect_all();
    for (; from < to; from += kShare) {
      shares_.push_back({index, from, std::min(from + kShare, to), false});
      total_ += shares_.back().to - from;
    }
  }

  // What stands in the middle of the largest file is like most of what is going to be searched.
  void suit_needles(const std::vector<std::size_t>& wanted) {
    const Source* largest = nullptr;
    for (const std::size_t index : wanted) {
      const Source& source = *sources_[index];
      if (source.seekable() && (largest == nullptr || source.size() > largest->size())) {
        largest = &source;
      }
    }
    if (largest == nullptr || largest->size() < kWorthASample) {
      return;
    }
    std::vector<char> sample(kSample);
    const ssize_t count = pread(largest->descriptor(), sample.data(), sample.size(),
                                static_cast<off_t>(largest->size() / 2));
    for (Needle& needle : needles_) {
      needle.suit({sample.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))});
    }
  }

  void work() {
    for (std::size_t next = next_++; next < shares_.size(); next = next_++) {
      const Share& share = shares_[next];
      if (share.stream) {
        read_stream(share);
      } else {
        search(share);
      }
    }
  }

  void progress(std::uint64_t bytes) {
    done_ += bytes;
    if (options_.progress) {
      options_.progress(done_, total_);
    }
  }

  void read_stream(const Share& share) {
    const auto stream = sources_[share.source]->stream();
    LineReader lines(*stream);
    Collector collector(query_, options_.reader, static_cast<int>(share.source),
                        into_[share.source]);
    Line line;
    std::uint64_t told = 0;
    while (lines.next(line)) {
      collector.take_quickly(line);
      reports_[share.source].bytes = line.offset + line.size;
      if (line.offset - told > kShare) {
        progress(line.offset - told);
        told = line.offset;
      }
    }
    reports_[share.source].note = stream->trouble();
    progress(reports_[share.source].bytes - told);
  }

  void find_needles(std::string_view bytes, std::uint64_t at, std::vector<std::uint64_t>& found) {
    for (const Needle& needle : needles_) {
      for (std::size_t hit = needle.find(bytes); hit != std::string_view::npos;
           hit = needle.find(bytes, hit + 1)) {
        found.push_back(at + hit);
      }
    }
  }

  // Where in a share of a file the needles stand. Looks over a piece's end by a needle's size.
  void search(const Share& share) {
    std::size_t longest = 0;
    for (const Needle& needle : needles_) {
      longest = std::max(longest, needle.size());
    }
    const Source& source = *sources_[share.source];
    std::vector<std::uint64_t> found;
    std::string trouble;
    for (std::uint64_t at = share.from; at < share.to && found.size() <= kMostHits; at += kPiece) {
      const std::uint64_t end = std::min(at + kPiece, share.to) + longest - 1;
      const std::size_t size = std::min(end, source.size()) - at;
      const Mapped piece(source.descriptor(), at, size);
      if (piece.bytes().empty()) {
        trouble = "can not be read";
        break;
      }
      find_needles(piece.bytes(), at, found);
      if (Mapped::broken()) {
        trouble = "was truncated while it was read";
        break;
      }
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& hits = hits_[share.source];
    hits.insert(hits.end(), found.begin(), found.end());
    SourceReport& report = reports_[share.source];
    report.note = report.note.empty() ? trouble : report.note;
    report.bytes += share.to - share.from;
    progress(share.to - share.from);
  }

  // The lines around the hits of a file.
  void collect(std::size_t index) {
    auto& hits = hits_[index];
    if (hits.empty()) {
      return;
    }
    std::sort(hits.begin(), hits.end());
    if (hits.size() > kMostHits) {
      into_[index].left_out += hits.size() - kMostHits;
      hits.resize(kMostHits);
    }
    Collector collector(query_, options_.reader, static_cast<int>(index), into_[index]);
    std::uint64_t read = 0;
    std::uint64_t done = 0;  // all lines before it have been taken
    for (std::size_t i = 0; i < hits.size();) {
      const bool around = read < kMostAround;
      const std::uint64_t reach = around ? kBehind : 1;
      std::uint64_t to = hits[i] + reach;
      std::uint64_t from = around ? hits[i] - std::min(hits[i], kBefore) : hits[i];
      for (++i; i < hits.size() && hits[i] < to; ++i) {
        to = hits[i] + reach;
      }
      from = std::max(from, done);
      done = take_lines(index, from, to, collector);
      read += done - std::min(done, from);
    }
  }

  // The lines that begin or end in [from, to); where the last of them ends.
  std::uint64_t take_lines(std::size_t index, std::uint64_t from, std::uint64_t to,
                           Collector& collector) {
    const Source& source = *sources_[index];
    std::uint64_t start = from - std::min<std::uint64_t>(from, kLongestLine);
    std::vector<char> before(from - start);
    const ssize_t count =
        pread(source.descriptor(), before.data(), before.size(), static_cast<off_t>(start));
    const std::string_view text(before.data(),
                                static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    const std::size_t feed = text.rfind('\n');
    start = feed == std::string_view::npos ? start : start + feed + 1;
    const auto stream = source.range(start, source.size());
    LineReader lines(*stream, start, 2 * kLongestLine);
    Line line;
    while (start < to && lines.next(line)) {
      collector.take(line);
      start = line.offset + line.size;
    }
    return std::max(start, to);
  }

  const Sources& sources_;
  const IdQuery& query_;
  std::vector<Needle> needles_;
  const FindOptions& options_;
  std::vector<Collected>& into_;
  std::vector<SourceReport>& reports_;
  std::vector<Share> shares_;
  std::vector<std::vector<std::uint64_t>> hits_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> done_{0};
  std::uint64_t total_ = 0;
  std::mutex mutex_;
};

}  // namespace

void scan_sources(const Sources& sources, const std::vector<std::size_t>& wanted,
                  const IdQuery& query, const FindOptions& options, std::vector<Collected>& into,
                  std::vector<SourceReport>& reports) {
  Scan(sources, query, options, into, reports).run(wanted);
}

}  // namespace forktail::story
