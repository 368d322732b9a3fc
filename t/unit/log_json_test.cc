#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "log/json.h"

namespace forktail::log {
namespace {

std::string escaped(std::string_view text, Quotes quotes = Quotes::escaped) {
  std::array<char, 256> out;
  const Escaped done = escape_json(text, out, quotes);
  EXPECT_EQ(done.taken, text.size());
  return {out.data(), done.written};
}

// The input that docs/logs.md says an escaped text stands for.
std::string recovered(const std::string& json_string) {
  const auto text = nlohmann::json::parse(json_string).get<std::string>();
  std::string bytes;
  for (std::size_t i = 0; i < text.size();) {
    // U+EF80 to U+EFFF are EE BE 80 to EE BF BF.
    const bool stands_for_a_byte =
        text.size() - i >= 3 && text[i] == '\xee' && (text[i + 1] & 0xfe) == 0xbe;
    if (stands_for_a_byte) {
      bytes.push_back(static_cast<char>((text[i + 1] & 1) << 6 | (text[i + 2] & 0x3f) | 0x80));
      i += 3;
    } else {
      bytes.push_back(text[i++]);
    }
  }
  return bytes;
}

TEST(LogJson, LeavesPrintableTextAlone) {
  EXPECT_EQ(escaped("GET /orders?a=b 'ok'"), "GET /orders?a=b 'ok'");
  EXPECT_EQ(escaped("Größe 1 €, \U0001F680"), "Größe 1 €, \U0001F680");
  EXPECT_EQ(escaped("\uef7f\uf000\ue000"), "\uef7f\uf000\ue000");
}

TEST(LogJson, EscapesQuotesAndBackslashes) { EXPECT_EQ(escaped(R"(a"b\c)"), R"(a\"b\\c)"); }

TEST(LogJson, LeavesQuotesAloneOutsideOfQuotes) {
  EXPECT_EQ(escaped(R"(a"b\c)", Quotes::plain), R"(a"b\\c)");
}

TEST(LogJson, EscapesEveryControlCharacter) {
  EXPECT_EQ(escaped("\n\r\t"), R"(\n\r\t)");
  EXPECT_EQ(escaped(std::string_view("\0\b\x1b[31m\x7f", 8)), R"(\u0000\u0008\u001b[31m\u007f)");
  EXPECT_EQ(escaped("\u0080\u009b\u009f\u00a0"), "\\u0080\\u009b\\u009f\u00a0");
}

TEST(LogJson, EscapesSeparatorsAndBidirectionalOverrides) {
  EXPECT_EQ(escaped("\u2027\u2028\u2029\u202e\u202f"), "\u2027\\u2028\\u2029\\u202e\u202f");
  EXPECT_EQ(escaped("\u2065\u2066\u2069\u206a"), "\u2065\\u2066\\u2069\u206a");
}

TEST(LogJson, ShowsEachByteThatIsNoUtf8) {
  EXPECT_EQ(escaped("a\xff z"), R"(a\uefff z)");
  EXPECT_EQ(escaped("\x80\xbf"), R"(\uef80\uefbf)");    // continuation bytes alone
  EXPECT_EQ(escaped("\xc3"), R"(\uefc3)");              // cut off at the end
  EXPECT_EQ(escaped("\xe2\x82x"), R"(\uefe2\uef82x)");  // cut off by another one
  EXPECT_EQ(escaped("\xc0\xaf\xc1\x81"), R"(\uefc0\uefaf\uefc1\uef81)");  // overlong
  EXPECT_EQ(escaped("\xe0\x80\x8a"), R"(\uefe0\uef80\uef8a)");            // overlong
  EXPECT_EQ(escaped("\xf0\x80\x80\x8a"), R"(\ueff0\uef80\uef80\uef8a)");  // overlong
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"(\uefed\uefa0\uef80)");            // a surrogate
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), R"(\ueff4\uef90\uef80\uef80)");  // above U+10FFFF
  EXPECT_EQ(escaped("\xf5\x80\x80\x80"), R"(\ueff5\uef80\uef80\uef80)");
}

TEST(LogJson, EscapesTheCharactersThatStandForBytesSoThatNoneIsMistaken) {
  EXPECT_EQ(escaped("\uef80\uefff"), R"(\uefee\uefbe\uef80\uefee\uefbf\uefbf)");
}

TEST(LogJson, CanBeReadBackByteForByte) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) {
    every_byte.push_back(static_cast<char>(byte));
  }
  for (const std::string& text :
       {every_byte, std::string("\uef80\uefff\\uef80\xff\xc3ü€\U0001F680")}) {
    std::string json;
    append_json_string(json, text);
    EXPECT_EQ(recovered(json), text);
  }
}

TEST(LogJson, CutsBetweenCharactersAndNeverInsideAnEscape) {
  const std::string_view text = "aü€\U0001F680\n\x1b";
  const std::string whole = escaped(text);
  for (std::size_t room = 0; room <= whole.size(); ++room) {
    std::array<char, 64> out;
    out.fill('#');
    const Escaped done = escape_json(text, std::span(out.data(), room));
    EXPECT_LE(done.written, room);
    EXPECT_EQ(escaped(text.substr(0, done.taken)), std::string(out.data(), done.written));
    EXPECT_EQ(out[done.written], '#');
    EXPECT_TRUE(nlohmann::json::accept('"' + std::string(out.data(), done.written) + '"'));
  }
}

TEST(LogJson, AppendsStringsLongerThanItsOwnPieces) {
  const std::string text(5000, '\x01');
  std::string json = "x";
  append_json_string(json, text);
  EXPECT_EQ(json.size(), 1 + 2 + 6 * text.size());
  EXPECT_EQ(recovered(json.substr(1)), text);
}

}  // namespace
}  // namespace forktail::log
