#include "story/search/follow.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace forktail::story {

struct Follower::Tail {
  Tail(int source_index, const std::string& path, const IdQuery& query, const FindOptions& options)
      : index(source_index),
        name(path),
        collector(query, options.reader, source_index, collected) {}
  ~Tail() {
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
  Tail(const Tail&) = delete;
  Tail& operator=(const Tail&) = delete;

  int index;
  std::string name;
  int descriptor = -1;
  bool pipe = false;
  std::uint64_t offset = 0;  // of what is read next
  std::string unfinished;    // the beginning of a line whose end has not come
  std::uint64_t line_offset = 0;
  Collected collected;
  Collector collector;
};

Follower::Follower(const Sources& sources, const IdQuery& query, const FindOptions& options)
    : query_(query), options_(options) {
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Source& source = *sources[i];
    if (source.packing() == Packing::gzip || source.packing() == Packing::zstd) {
      continue;
    }
    auto tail = std::make_unique<Tail>(static_cast<int>(i), source.name(), query_, options_);
    tail->descriptor = dup(source.descriptor());
    tail->pipe = source.packing() == Packing::pipe;
    tail->offset = tail->line_offset = source.size();
    tails_.push_back(std::move(tail));
  }
}

Follower::~Follower() = default;

bool Follower::over() const {
  return std::all_of(tails_.begin(), tails_.end(),
                     [](const auto& tail) { return tail->descriptor < 0 && tail->pipe; });
}

void Follower::look(const std::function<void(const Event&)>& visit) {
  for (const auto& tail : tails_) {
    read_new(*tail, visit);
    if (!tail->pipe && follow_name(*tail)) {
      read_new(*tail, visit);
    }
  }
}

// Whether another file has the name now: that one is read from its beginning, the old one has been
// read to its end.
bool Follower::follow_name(Tail& tail) {
  struct stat there {};
  struct stat here {};
  if (stat(tail.name.c_str(), &there) != 0 ||
      (fstat(tail.descriptor, &here) == 0 && here.st_ino == there.st_ino &&
       here.st_dev == there.st_dev)) {
    return false;
  }
  const int descriptor = open(tail.name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return false;
  }
  close(tail.descriptor);
  tail.descriptor = descriptor;
  tail.offset = tail.line_offset = 0;
  tail.unfinished.clear();
  return true;
}

void Follower::read_new(Tail& tail, const std::function<void(const Event&)>& visit) {
  if (tail.descriptor < 0) {
    return;
  }
  struct stat status {};
  if (!tail.pipe && fstat(tail.descriptor, &status) == 0 &&
      static_cast<std::uint64_t>(status.st_size) < tail.offset) {
    tail.offset = tail.line_offset = 0;  // truncated
    tail.unfinished.clear();
  }
  constexpr std::size_t kBlock = 64U << 10;
  constexpr int kMostBlocks = 1024;  // then the other sources have their turn
  std::vector<char> block(kBlock);
  for (int i = 0; i < kMostBlocks; ++i) {
    pollfd ready{tail.descriptor, POLLIN, 0};
    if (tail.pipe && poll(&ready, 1, 0) <= 0) {
      return;
    }
    const ssize_t count = tail.pipe ? read(tail.descriptor, block.data(), block.size())
                                    : pread(tail.descriptor, block.data(), block.size(),
                                            static_cast<off_t>(tail.offset));
    if (count <= 0) {
      if (tail.pipe) {
        close(tail.descriptor);
        tail.descriptor = -1;
      }
      return;
    }
    tail.offset += static_cast<std::uint64_t>(count);
    tail.unfinished.append(block.data(), static_cast<std::size_t>(count));
    take_lines(tail, visit);
  }
}

void Follower::take_lines(Tail& tail, const std::function<void(const Event&)>& visit) {
  std::size_t at = 0;
  for (std::size_t feed = tail.unfinished.find('\n'); feed != std::string::npos;
       feed = tail.unfinished.find('\n', at)) {
    Line line;
    line.text = std::string_view(tail.unfinished).substr(at, feed - at);
    line.cut = line.text.size() > kLongestLine;
    line.text = line.text.substr(0, kLongestLine);
    line.offset = tail.line_offset;
    line.size = feed - at + 1;
    tail.line_offset += line.size;
    at = feed + 1;
    tail.collector.take_quickly(line);
  }
  tail.unfinished.erase(0, at);
  if (tail.unfinished.size() > 16 * kLongestLine) {
    tail.unfinished.resize(kLongestLine);  // no line of a log: its beginning is enough
  }
  for (const Event& event : tail.collected.events) {
    visit(event);
  }
  tail.collected.events.clear();
  tail.collected.bystanders.clear();
}

}  // namespace forktail::story
