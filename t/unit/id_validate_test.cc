#include <gtest/gtest.h>

#include <string>

#include "id/validate.h"

namespace {

using forktail::id::escape;
using forktail::id::valid;

std::string escaped(std::string_view text, std::size_t limit) {
  std::string out(limit, '?');
  out.resize(escape(text, out.data(), limit));
  return out;
}

TEST(Validate, TakesEightToOneHundredAndTwentyEightCharacters) {
  EXPECT_FALSE(valid(""));
  EXPECT_FALSE(valid(std::string(7, 'a')));
  EXPECT_TRUE(valid(std::string(8, 'a')));
  EXPECT_TRUE(valid(std::string(128, 'a')));
  EXPECT_FALSE(valid(std::string(129, 'a')));
}

TEST(Validate, TakesExactlyTheNamedCharacters) {
  const std::string allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=@:-";
  for (int c = 0; c < 256; ++c) {
    std::string candidate = "12345678";
    candidate[3] = static_cast<char>(c);
    EXPECT_EQ(valid(candidate), allowed.find(static_cast<char>(c)) != std::string::npos) << c;
  }
}

TEST(Escape, ShowsControlCharactersQuotesAndHighBytesAsHex) {
  EXPECT_EQ(escaped("a\r\n\"\\\x7f\xc3z", 64), "a\\x0D\\x0A\\x22\\x5C\\x7F\\xC3z");
}

TEST(Escape, NeverCutsAnEscapeInTwo) {
  EXPECT_EQ(escaped("abc\n", 6), "abc");
  EXPECT_EQ(escaped("abc\n", 7), "abc\\x0A");
  EXPECT_EQ(escaped(std::string(100, 'x'), 64), std::string(64, 'x'));
}

}  // namespace
