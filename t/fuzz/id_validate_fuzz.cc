// Whatever a client sends: an id that is taken needs no escaping anywhere, and what is shown of one
// that is not can neither break a line nor be cut inside an escape.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "id/validate.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

bool safe_everywhere(unsigned char c) {
  return c > 0x20 && c < 0x7f && std::strchr("\"\\,;'<>&`$(){}", c) == nullptr;
}

// Undoes id::escape; false when the text is no whole escape of anything.
bool unescape(std::string_view text, std::string* out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out->push_back(text[i]);
      continue;
    }
    if (text.size() - i < 4 || text[i + 1] != 'x') {
      return false;
    }
    out->push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16)));
    i += 3;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);

  if (forktail::id::valid(input)) {
    require(size >= 8 && size <= 128);
    for (const char c : input) {
      require(safe_everywhere(static_cast<unsigned char>(c)));
    }
  }

  for (const std::size_t limit : {std::size_t{0}, std::size_t{3}, std::size_t{64}, 4 * size}) {
    std::string out(limit, '\0');
    const std::size_t written = forktail::id::escape(input, out.data(), limit);
    require(written <= limit);
    out.resize(written);
    for (const char c : out) {
      require(c >= 0x20 && c < 0x7f && c != '"');
    }
    std::string back;
    require(unescape(out, &back));
    require(input.substr(0, back.size()) == back);
    require(limit < 4 * size || back.size() == size);
  }
  return 0;
}
