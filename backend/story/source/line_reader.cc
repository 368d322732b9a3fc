#include "story/source/line_reader.h"

#include <cstring>

namespace forktail::story {

LineReader::LineReader(ByteStream& bytes, std::uint64_t offset, std::size_t buffer)
    : bytes_(bytes), buffer_(buffer), offset_(offset) {}

bool LineReader::fill() {
  if (over_) {
    return false;
  }
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const std::size_t count = bytes_.read(std::span(buffer_).subspan(end_));
  end_ += count;
  over_ = count == 0;
  return !over_;
}

bool LineReader::next(Line& line) {
  std::size_t searched = 0;
  for (;;) {
    const char* start = buffer_.data() + begin_;
    const std::size_t size = end_ - begin_;
    const void* feed =
        size > searched ? std::memchr(start + searched, '\n', size - searched) : nullptr;
    const std::size_t length =
        feed != nullptr ? static_cast<std::size_t>(static_cast<const char*>(feed) - start) : size;
    if (length >= kLongestLine) {
      line = {{start, kLongestLine}, offset_, 0, true, feed != nullptr};
      return skip_rest(line);
    }
    if (feed != nullptr) {
      line = {{start, length}, offset_, length + 1, false, true};
      begin_ += length + 1;
      offset_ += length + 1;
      return true;
    }
    searched = size;
    if (!fill()) {
      line = {{buffer_.data() + begin_, size}, offset_, size, false, false};
      begin_ = end_;
      offset_ += size;
      return size > 0;
    }
  }
}

// Keeps what is shown of the line at the buffer's front, and reads over the rest of it.
bool LineReader::skip_rest(Line& line) {
  std::memmove(buffer_.data(), line.text.data(), end_ - begin_);
  end_ -= begin_;
  line.text = {buffer_.data(), kLongestLine};
  std::uint64_t size = kLongestLine;
  std::size_t at = kLongestLine;
  for (;;) {
    const void* feed = std::memchr(buffer_.data() + at, '\n', end_ - at);
    if (feed != nullptr) {
      const auto past =
          static_cast<std::size_t>(static_cast<const char*>(feed) - buffer_.data()) + 1;
      size += past - at;
      begin_ = past;
      line.ended = true;
      break;
    }
    size += end_ - at;
    at = kLongestLine;
    const std::size_t count = bytes_.read(std::span(buffer_).subspan(at));
    end_ = at + count;
    if (count == 0) {
      begin_ = end_;
      over_ = true;
      line.ended = false;
      break;
    }
  }
  line.size = size;
  offset_ += size;
  return true;
}

}  // namespace forktail::story
