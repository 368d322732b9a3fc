#include "story/search/scan.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "story/search/bisect.h"

namespace forktail::story {
namespace {

constexpr std::uint64_t kShare = UINT64_C(32) << 20;  // of a file, for a thread at a time
constexpr std::size_t kScanBuffer = 512U << 10;
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

// One whose lines may be carried in parts: an id may be cut in two, so its lines have to be joined.
bool carried_in_parts(const Source& source) {
  std::vector<char> block(4096);
  const ssize_t count = pread(source.descriptor(), block.data(), block.size(), 0);
  const std::string_view text(block.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  const std::string_view first = text.substr(0, text.find('\n'));
  return first.starts_with("{\"log\":") || first.find(" stdout ") < 64 ||
         first.find(" stderr ") < 64;
}

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
      total_ += source.size();
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
        told = line.offset;
        progress(0);
      }
    }
    reports_[share.source].note = stream->trouble();
    progress(share.to);
  }

  // Where in a share of a file the needles stand. Reads over its end by a needle's size.
  void search(const Share& share) {
    std::size_t longest = 0;
    for (const Needle& needle : needles_) {
      longest = std::max(longest, needle.size());
    }
    std::vector<char> buffer(kScanBuffer);
    std::vector<std::uint64_t> found;
    const int descriptor = sources_[share.source]->descriptor();
    std::uint64_t at = share.from;
    while (at < share.to) {
      const ssize_t count = pread(descriptor, buffer.data(), buffer.size(), static_cast<off_t>(at));
      if (count <= 0) {
        break;
      }
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
      for (const Needle& needle : needles_) {
        for (std::size_t hit = needle.find(bytes); hit != std::string_view::npos;
             hit = needle.find(bytes, hit + 1)) {
          found.push_back(at + hit);
        }
      }
      if (found.size() > kMostHits || bytes.size() <= longest) {
        break;
      }
      at += std::min<std::uint64_t>(bytes.size() - longest + 1, share.to - at);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& hits = hits_[share.source];
    hits.insert(hits.end(), found.begin(), found.end());
    reports_[share.source].bytes += share.to - share.from;
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
