#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "wire/packet.h"

namespace {

using forktail::Variable;
using forktail::wire::make_packet;
using forktail::wire::parse_content_length;
using forktail::wire::parse_variables;
using forktail::wire::recognise_foreign;
using testing::HasSubstr;
using namespace std::string_literals;
using namespace std::string_view_literals;

std::span<const char, 4> first_four(std::string_view bytes) {
  return std::span<const char, 4>(bytes.data(), 4);
}

std::string_view problem(std::string_view data) {
  std::vector<Variable> variables;
  return parse_variables(data, variables);
}

// The data of a packet, without its header.
std::string data_of(std::initializer_list<Variable> variables) {
  return make_packet(0, 0, std::vector(variables)).substr(4);
}

TEST(Header, IsReadInLittleEndianAndUnsigned) {
  const auto header = forktail::wire::read_header(first_four("\xff\x01\xfe\x80"));
  EXPECT_EQ(header.modifier1, 255);
  EXPECT_EQ(header.datasize, 0xfe01);
  EXPECT_EQ(header.modifier2, 128);
}

TEST(MakePacket, WritesHeaderAndVariables) {
  const std::vector<Variable> variables{{"A", "bc"}, {"D", ""}};
  EXPECT_EQ(make_packet(5, 7, variables),
            "\x05\x0c\x00\x07\x01\x00"s + "A\x02\x00"s + "bc\x01\x00"s + "D\x00\x00"s);
}

TEST(MakePacket, FillsAPacketToTheLastByteAndRefusesOneMore) {
  const std::string largest(65535 - 4 - 1, 'v');
  const std::vector<Variable> full{{"N", largest}};
  EXPECT_EQ(make_packet(0, 0, full).size(), 4U + 65535U);
  const std::string one_more = largest + 'v';
  const std::vector<Variable> too_full{{"N", one_more}};
  try {
    make_packet(0, 0, too_full);
    FAIL() << "took 65536 bytes";
  } catch (const std::length_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("65536 bytes"));
    EXPECT_THAT(error.what(), HasSubstr("at most 65535"));
  }
}

TEST(ParseVariables, GivesBackWhatMakePacketWrote) {
  const std::string long_name(300, 'N');
  const std::string all_bytes = "\0\r\n\xff=\x7f"s;
  const std::vector<Variable> sent{{"A", ""}, {long_name, all_bytes}, {"A", "again"}};
  const std::string data = make_packet(0, 0, sent).substr(4);
  std::vector<Variable> read{{"left", "over"}};
  EXPECT_EQ(parse_variables(data, read), "");
  ASSERT_EQ(read.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(read[i].name, sent[i].name);
    EXPECT_EQ(read[i].value, sent[i].value);
  }
}

TEST(ParseVariables, TakesAPacketWithoutVariables) { EXPECT_EQ(problem(""), ""); }

TEST(ParseVariables, RefusesAPacketThatIsCutAnywhereButBetweenVariables) {
  const std::string data = data_of({{"NAME", "value"}});
  for (std::size_t cut = 1; cut < data.size(); ++cut) {
    const bool in_name = cut < 2 + 4;
    EXPECT_EQ(problem(std::string_view(data).substr(0, cut)),
              in_name ? "the packet ends within a variable's name"
                      : "the packet ends within a variable's value")
        << cut;
  }
}

TEST(ParseVariables, RefusesBytesAfterTheLastVariable) {
  EXPECT_EQ(problem(data_of({{"NAME", "value"}}) + "x"),
            "the packet ends within a variable's name");
}

TEST(ParseVariables, RefusesLengthsBeyondTheEnd) {
  EXPECT_EQ(problem("\xff\xff"
                    "A"sv),
            "the packet ends within a variable's name");
  EXPECT_EQ(problem("\x01\x00"
                    "A\xff\xff"
                    "b"sv),
            "the packet ends within a variable's value");
}

TEST(ParseVariables, RefusesNamesThatAreEmptyOrWouldNotStandInALogLine) {
  EXPECT_EQ(problem(data_of({{"", "value"}})), "a variable has no name");
  for (const std::string_view name : {"A B"sv, "A\0"sv, "A\n"sv, "\x7f"sv}) {
    EXPECT_EQ(problem(data_of({{name, "value"}})),
              "a variable's name has a blank or a control character");
  }
  EXPECT_EQ(problem(data_of({{"HTTP_\xc3\xa4", "value"}})), "");
}

TEST(RecogniseForeign, NamesTheProtocol) {
  for (const auto* start :
       {"GET ", "HEAD", "POST", "PUT ", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI "}) {
    EXPECT_EQ(recognise_foreign(first_four(start)), "this is HTTP, not uwsgi") << start;
  }
  EXPECT_EQ(recognise_foreign(first_four("\x16\x03\x01\x02")), "this is TLS, not uwsgi");
  EXPECT_EQ(recognise_foreign(first_four("\x01\x01\x00\x01"sv)), "this is FastCGI, not uwsgi");
  EXPECT_EQ(recognise_foreign(first_four("70:C")), "this is SCGI, not uwsgi");
  EXPECT_EQ(recognise_foreign(first_four("123:")), "this is SCGI, not uwsgi");
  EXPECT_EQ(recognise_foreign(first_four("PROX")), "this is the PROXY protocol, not uwsgi");
  EXPECT_EQ(recognise_foreign(first_four("\r\n\r\n")), "this is the PROXY protocol, not uwsgi");
}

TEST(RecogniseForeign, TakesNoRequestAndNoPingForAnother) {
  for (const char modifier1 : {'\0', '\x64'}) {
    for (int low = 0; low < 256; ++low) {
      for (int high = 0; high < 256; ++high) {
        const std::array<char, 4> bytes{modifier1, static_cast<char>(low), static_cast<char>(high),
                                        0};
        ASSERT_EQ(recognise_foreign(bytes), "") << low << ' ' << high;
      }
    }
  }
}

TEST(RecogniseForeign, IsSilentAboutWhatItDoesNotKnow) {
  EXPECT_EQ(recognise_foreign(first_four("get ")), "");
  EXPECT_EQ(recognise_foreign(first_four(":123")), "");
  EXPECT_EQ(recognise_foreign(first_four("1234")), "");
  EXPECT_EQ(recognise_foreign(first_four("1a:C")), "");
  EXPECT_EQ(recognise_foreign(first_four("\x05\x00\x00\x00"sv)), "");
}

TEST(ContentLength, IsDigitsAlone) {
  EXPECT_EQ(parse_content_length(""), 0U);
  EXPECT_EQ(parse_content_length("0"), 0U);
  EXPECT_EQ(parse_content_length("0042"), 42U);
  EXPECT_EQ(parse_content_length("18446744073709551615"), 18446744073709551615U);
  for (const std::string_view wrong :
       {"18446744073709551616"sv, "99999999999999999999999"sv, "-1"sv, "+1"sv, " 1"sv, "1 "sv,
        "1,1"sv, "0x10"sv, "1e3"sv, "1\0"sv, "ten"sv}) {
    EXPECT_EQ(parse_content_length(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
