#include "story/search/bisect.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "story/search/id_query.h"

namespace forktail::story {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kClose = 4 * kPage;  // what is left is read instead of halved
constexpr std::uint64_t kFirstReach = 2 * kPage;
constexpr std::uint64_t kLongestReach = UINT64_C(1) << 20;

std::vector<char> read_block(int descriptor, std::uint64_t from, std::uint64_t size) {
  std::vector<char> block(size);
  const ssize_t count = pread(descriptor, block.data(), block.size(), static_cast<off_t>(from));
  block.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return block;
}

}  // namespace

Bisection::Bisection(const Source& source, const ReaderOptions& options)
    : source_(source), options_(options) {
  source.expect_jumps();
  const auto first = probe(0, source.size());
  const auto last = probe_last();
  probe(source.size() / 2, source.size());
  first_ = first ? std::optional(first->stamp) : std::nullopt;
  last_ = last ? std::optional(last->stamp) : std::nullopt;
  // A stamp is of the request's end, or of something within it: a little ahead is right.
  constexpr Micros kAsExpected = 60 * kSecond;
  if (least_ahead_ && (*least_ahead_ > kAsExpected || *least_ahead_ < -kSecond)) {
    skew_ = *least_ahead_;
  }
}

// The first (or the last) line with a stamp among those of `text` that begin at `at` or behind it.
std::optional<Bisection::Probe> Bisection::look(std::string_view text, std::uint64_t base,
                                                std::size_t at, bool first) {
  Reader reader(options_);
  std::optional<Probe> found;
  while (at < text.size()) {
    const std::size_t feed = text.find('\n', at);
    if (feed == std::string_view::npos && base + text.size() < source_.size()) {
      break;  // the rest of it lies behind
    }
    const auto event = reader.read(text.substr(at, feed - at));
    if (event && event->stamp.at != kUnknown) {
      found = Probe{base + at, event->stamp};
      if (const auto began = time_of_id(event->id, options_.now)) {
        const Micros duration = event->duration == kUnknown ? 0 : event->duration;
        const Micros ahead = event->stamp.at - duration - *began;
        least_ahead_ = std::min(least_ahead_.value_or(ahead), ahead);
      }
      if (first) {
        break;
      }
    }
    at = feed == std::string_view::npos ? text.size() : feed + 1;
  }
  return found;
}

// The first line with a stamp that begins in [from, to).
std::optional<Bisection::Probe> Bisection::probe(std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t reach = kFirstReach;; reach *= 8) {
    const std::uint64_t base = from / kPage * kPage;
    const std::uint64_t end = std::min(base + reach, source_.size());
    const std::vector<char> block =
        read_block(source_.descriptor(), base, end - std::min(base, end));
    pages_ += (block.size() + kPage - 1) / kPage;
    const std::string_view text(block.data(), block.size());
    std::size_t at = from - base;
    if (from > 0) {
      at = text.find('\n', at > 0 ? at - 1 : 0);
      at = at == std::string_view::npos ? text.size() : at + 1;
    }
    const auto found = look(text, base, at, true);
    if (found) {
      return found->line < to ? found : std::nullopt;
    }
    if (end >= std::min(to, source_.size()) || reach >= kLongestReach) {
      return std::nullopt;
    }
  }
}

std::optional<Bisection::Probe> Bisection::probe_last() {
  for (std::uint64_t reach = kFirstReach; reach <= kLongestReach; reach *= 8) {
    const std::uint64_t from = source_.size() - std::min(source_.size(), reach);
    const std::vector<char> block = read_block(source_.descriptor(), from, reach);
    pages_ += (block.size() + kPage - 1) / kPage;
    const std::string_view text(block.data(), block.size());
    const std::size_t feed = from == 0 ? 0 : text.find('\n');
    const auto found =
        look(text, from, from == 0 || feed == std::string_view::npos ? feed : feed + 1, false);
    if (found || from == 0) {
      return found;
    }
  }
  return std::nullopt;
}

std::uint64_t Bisection::find(Micros at) {
  at += skew_;
  std::uint64_t low = 0;
  std::uint64_t high = source_.size();
  Micros low_time = first_ ? first_->at : kUnknown;
  Micros high_time = last_ ? last_->at : kUnknown;
  if (!first_ || low_time >= at) {
    return 0;
  }
  for (int step = 0; high - low > kClose; ++step) {
    // Most logs grow evenly: a guess by proportion comes closer than the middle does. Where one
    // does not, every second step halves.
    std::uint64_t middle = low + (high - low) / 2;
    if (step % 2 == 0 && high_time > low_time && at < high_time) {
      const double share =
          static_cast<double>(at - low_time) / static_cast<double>(high_time - low_time);
      const auto guess = static_cast<std::uint64_t>(share * static_cast<double>(high - low));
      middle = std::clamp(low + guess, low + kPage, high - kPage);
    }
    const auto probed = probe(middle, high);
    if (!probed) {
      high = middle;  // no line with a stamp begins behind it: look before
    } else if (probed->stamp.at + probed->stamp.grain <= at) {
      low = probed->line;
      low_time = probed->stamp.at;
    } else {
      high = middle;
      high_time = probed->stamp.at;
    }
  }
  return low;
}

}  // namespace forktail::story
