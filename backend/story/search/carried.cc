#include "story/search/carried.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace forktail::story {

bool carried_in_parts(const Source& source) {
  std::vector<char> block(4096);
  const ssize_t count = pread(source.descriptor(), block.data(), block.size(), 0);
  const std::string_view text(block.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  const std::string_view first = text.substr(0, text.find('\n'));
  return first.starts_with("{\"log\":") || first.find(" stdout ") < 64 ||
         first.find(" stderr ") < 64;
}

}  // namespace forktail::story
