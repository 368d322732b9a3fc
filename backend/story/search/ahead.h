// A log that several threads read at once: each takes a share of it and understands its lines, and
// the shares are given out in their order.
//
// Belongs to one thread, which starts and joins the others. Memory is bounded: so many shares are
// read ahead of the one that is given out.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "story/event.h"
#include "story/read/reader.h"
#include "story/source/source.h"

namespace forktail::story {

struct ReadLine {
  Event event;
  bool ended = true;  // false: the log ends without a line feed
};

struct ReadShare {
  std::vector<ReadLine> lines;
  std::uint64_t count = 0;  // of lines, also of those that are only a part of one
  std::uint64_t bytes = 0;
  std::string trouble;  // why it could not be read to its end; empty when it was
};

class ReadAhead {
 public:
  static constexpr std::uint64_t kShare = 128U << 10;

  // The lines of `source` that begin in [from, to); events bear `index`. `source` is seekable, and
  // each line of it is understood without those before it.
  ReadAhead(const Source& source, int index, const ReaderOptions& options, std::uint64_t from,
            std::uint64_t to, int threads);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // False at the end. Throws what a thread has thrown.
  bool next(ReadShare& share);

 private:
  void work();
  ReadShare read(std::uint64_t number) const;

  const Source& source_;
  const int index_;
  const ReaderOptions& options_;
  const std::uint64_t from_;
  const std::uint64_t to_;
  const std::uint64_t shares_;
  const std::uint64_t most_ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_ = 0;   // that a thread takes
  std::uint64_t given_ = 0;  // out
  bool over_ = false;
  std::exception_ptr thrown_;
  std::map<std::uint64_t, ReadShare> ready_;
  std::vector<std::thread> threads_;
};

}  // namespace forktail::story
