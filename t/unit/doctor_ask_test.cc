// What the doctor says to servers: targets, and FastCGI's records.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "doctor/ask/ask.h"
#include "doctor/ask/fastcgi.h"

namespace forktail::doctor {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(DoctorTarget, EachSchemeHasItsSpeechAndItsPort) {
  const Target secure = parse_target("https://127.0.0.1/x");
  EXPECT_TRUE(secure.tls);
  EXPECT_EQ(secure.speech, Speech::http);
  EXPECT_EQ(secure.address.text, "127.0.0.1:443");
  EXPECT_EQ(secure.host, "127.0.0.1");
  const Target php = parse_target("fcgi://unix:/run/php.sock");
  EXPECT_EQ(php.speech, Speech::fastcgi);
  EXPECT_EQ(php.address.path(), "/run/php.sock");
  EXPECT_EQ(parse_target("fcgi://127.0.0.1").address.text, "127.0.0.1:9000");
  EXPECT_EQ(parse_target("http://[::1]:8080").address.text, "[::1]:8080");
  EXPECT_EQ(parse_target("/run/uwsgi.sock").speech, Speech::uwsgi);
}

TEST(DoctorTarget, AnotherSchemeIsRefusedWithThoseThereAre) {
  try {
    parse_target("ftp://127.0.0.1");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr("ftp://127.0.0.1"));
    EXPECT_THAT(error.what(), HasSubstr("fcgi://HOST:PORT"));
  }
}

std::string fastcgi_record(char type, const std::string& content, std::size_t padding = 0) {
  std::string record{1, type, 0, 1};
  record += static_cast<char>(content.size() >> 8U);
  record += static_cast<char>(content.size() & 0xffU);
  record += static_cast<char>(padding);
  record += '\0';
  return record + content + std::string(padding, 'p');
}

TEST(DoctorFastcgi, TheRequestIsRecordsInTheirOrder) {
  const std::string request = fastcgi_request({{"A", "b"}, {"LONG", std::string(200, 'x')}});
  EXPECT_THAT(request, StartsWith(fastcgi_record(1, std::string("\0\1\0\0\0\0\0\0", 8))));
  EXPECT_THAT(request, HasSubstr(std::string("\1\1Ab", 4)));
  EXPECT_THAT(request, HasSubstr(std::string("\4\x80\0\0\xc8LONGxxx", 12)));
  EXPECT_TRUE(request.ends_with(fastcgi_record(4, "") + fastcgi_record(5, "")));
}

TEST(DoctorFastcgi, AnAnswerIsReadHoweverItIsCut) {
  const std::string records = fastcgi_record(6, "Content-Type: text/plain\r\n", 5) +
                              fastcgi_record(7, "a warning") + fastcgi_record(6, "\r\nhello", 1) +
                              fastcgi_record(3, std::string(8, '\0'));
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, records.size()}) {
    FastcgiReader reader;
    std::string output;
    for (std::size_t at = 0; at < records.size(); at += step) {
      EXPECT_FALSE(reader.over());
      reader.feed(std::string_view(records).substr(at, step), output);
    }
    EXPECT_EQ(output, "Content-Type: text/plain\r\n\r\nhello");
    EXPECT_TRUE(reader.over());
  }
}

TEST(DoctorFastcgi, WhatIsNoneIsRefused) {
  FastcgiReader reader;
  std::string output;
  EXPECT_THROW(reader.feed("HTTP/1.1 400 Bad Request\r\n", output), std::runtime_error);
}

}  // namespace
}  // namespace forktail::doctor
