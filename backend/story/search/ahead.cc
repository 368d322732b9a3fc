#include "story/search/ahead.h"

#include <algorithm>
#include <utility>

#include "story/source/line_reader.h"

namespace forktail::story {

ReadAhead::ReadAhead(const Source& source, int index, const ReaderOptions& options,
                     std::uint64_t from, std::uint64_t to, int threads)
    : source_(source),
      index_(index),
      options_(options),
      from_(from),
      to_(std::max(from, to)),
      shares_((to_ - from_ + kShare - 1) / kShare),
      most_ahead_(static_cast<std::uint64_t>(threads) + 2) {
  const auto count = std::min<std::uint64_t>(static_cast<std::uint64_t>(threads), shares_);
  for (std::uint64_t i = 0; i < count; ++i) {
    threads_.emplace_back([this] { work(); });
  }
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void ReadAhead::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] {
      return over_ || thrown_ || next_ == shares_ || next_ < given_ + most_ahead_;
    });
    if (over_ || thrown_ || next_ == shares_) {
      return;
    }
    const std::uint64_t number = next_++;
    lock.unlock();
    ReadShare share;
    std::exception_ptr thrown;
    try {
      share = read(number);
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    if (thrown) {
      thrown_ = thrown;
    } else {
      ready_.emplace(number, std::move(share));
    }
    changed_.notify_all();
  }
}

bool ReadAhead::next(ReadShare& share) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (given_ == shares_) {
    return false;
  }
  changed_.wait(lock, [this] { return thrown_ || ready_.contains(given_); });
  if (thrown_) {
    std::rethrow_exception(thrown_);
  }
  share = std::move(ready_.extract(given_).mapped());
  ++given_;
  changed_.notify_all();
  return true;
}

// A line belongs to the share in which it begins, wherever it ends.
ReadShare ReadAhead::read(std::uint64_t number) const {
  ReadShare share;
  const std::uint64_t from = from_ + number * kShare;
  const std::uint64_t to = std::min(from + kShare, to_);
  const bool first = number == 0;
  const std::uint64_t start = first ? from : from - 1;
  const auto stream = source_.range(start, source_.size());
  LineReader lines(*stream, start, 2 * kLongestLine);
  Line line;
  const bool any = first || lines.next(line);  // the end of the one before it
  Reader reader(options_);
  while (any && lines.next(line) && line.offset < to) {
    ++share.count;
    share.bytes += line.size;
    if (auto event = reader.read(line.text)) {
      event->source = index_;
      event->offset = line.offset;
      event->broken |= line.cut;
      share.lines.push_back({std::move(*event), line.ended});
    }
  }
  share.trouble = stream->trouble();
  return share;
}

}  // namespace forktail::story
