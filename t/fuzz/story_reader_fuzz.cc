// Any bytes as a log: every line is read, shown and bounded, whatever it is.
#include <cstdlib>
#include <string_view>

#include "story/read/reader.h"
#include "story/source/line_reader.h"
#include "story/text.h"

namespace {

class Bytes final : public forktail::story::ByteStream {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  // A few at a time, so that lines lie across the ends of blocks.
  std::size_t read(std::span<char> out) override {
    const std::size_t count =
        bytes_.substr(0, out.size() < 97 ? out.size() : 97).copy(out.data(), 97);
    bytes_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view bytes_;
};

void demand(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  namespace story = forktail::story;
  static const story::ReaderOptions options{story::known_formats(),
                                            INT64_C(1'795'845'700) * story::kSecond, 0};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Bytes bytes(text);
  story::LineReader lines(bytes);
  story::Reader reader(options);
  story::Line line;
  std::uint64_t end = 0;
  while (lines.next(line)) {
    demand(line.offset == end);
    demand(line.text.size() <= story::kLongestLine);
    end = line.offset + line.size;
    const auto event = reader.read(line.text);
    if (event) {
      demand(event->raw.size() <= 8192);
      demand(event->upstreams.size() <= 64);
      const std::string shown = story::printable(event->message, 500);
      demand(shown.size() <= 500);
      for (const char c : shown) {
        demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
      }
    }
  }
  demand(end == text.size());
  return 0;
}
