#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wire/response_head.h"

namespace {

using forktail::Response;
using forktail::wire::body_allowed;
using forktail::wire::compose_head;
using forktail::wire::reason_phrase;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kId = "0123456789abcdef";

std::string head_of(const Response& response, bool keep = true, bool chunks = true) {
  std::string out = "left over";
  std::string wrong = "left over";
  EXPECT_TRUE(compose_head(response, kId, keep, chunks, out, wrong)) << wrong;
  EXPECT_EQ(wrong, "");
  return out;
}

std::string refusal_of(const Response& response) {
  std::string out = "left over";
  std::string wrong;
  EXPECT_FALSE(compose_head(response, kId, true, false, out, wrong));
  EXPECT_EQ(out, "");
  return wrong;
}

TEST(ComposeHead, WritesStatusIdHeadersAndLength) {
  Response response(200, "text/plain", "hello");
  response.add_header("Set-Cookie", "a=1").add_header("Set-Cookie", "b=2");
  EXPECT_EQ(head_of(response),
            "HTTP/1.1 200 OK\r\n"
            "X-Request-ID: 0123456789abcdef\r\n"
            "Content-Type: text/plain\r\n"
            "Set-Cookie: a=1\r\n"
            "Set-Cookie: b=2\r\n"
            "Content-Length: 5\r\n"
            "Connection: keep-alive\r\nKeep-Alive: gives-back\r\n"
            "\r\n");
}

TEST(ComposeHead, SaysThatTheConnectionWillBeClosed) {
  EXPECT_EQ(head_of(Response(404, "", ""), false),
            "HTTP/1.1 404 Not Found\r\n"
            "X-Request-ID: 0123456789abcdef\r\n"
            "Content-Length: 0\r\n"
            "Connection: close\r\n"
            "\r\n");
}

TEST(ComposeHead, FramesAStreamForAPeerThatTakesChunks) {
  const Response stream = Response::stream(200, "", [](forktail::Writer&) {});
  EXPECT_THAT(head_of(stream), HasSubstr("Transfer-Encoding: chunked\r\n"));
  EXPECT_THAT(head_of(stream), Not(HasSubstr("Content-Length")));
  EXPECT_EQ(head_of(stream, false, false),
            "HTTP/1.1 200 OK\r\n"
            "X-Request-ID: 0123456789abcdef\r\n"
            "Connection: close\r\n"
            "\r\n");
}

TEST(ComposeHead, FramesNoStreamWhereThereIsNoBody) {
  for (const int status : {204, 304}) {
    EXPECT_THAT(head_of(Response::stream(status, "", [](forktail::Writer&) {})),
                Not(HasSubstr("Transfer-Encoding")));
  }
}

TEST(ComposeHead, GivesNoLengthWhereThereIsNoBodyToMeasure) {
  EXPECT_THAT(head_of(Response(204, "", "")), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(head_of(Response(204, "", "ignored")), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(head_of(Response(304, "", "")), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(head_of(Response(304, "", "hello")), HasSubstr("Content-Length: 5\r\n"));
}

TEST(ComposeHead, DropsTheHeadersThatAreTheServers) {
  Response response(200, "", "");
  response.add_header("content-LENGTH", "7")
      .add_header("Transfer-Encoding", "chunked")
      .add_header("CONNECTION", "upgrade")
      .add_header("x-request-id", "forged")
      .add_header("X-Request-ID2", "mine");
  EXPECT_EQ(head_of(response),
            "HTTP/1.1 200 OK\r\n"
            "X-Request-ID: 0123456789abcdef\r\n"
            "X-Request-ID2: mine\r\n"
            "Content-Length: 0\r\n"
            "Connection: keep-alive\r\nKeep-Alive: gives-back\r\n"
            "\r\n");
}

TEST(ComposeHead, RefusesAStatusThatIsNoFinalOne) {
  for (const int status : {-1, 0, 100, 199, 600, 1000}) {
    EXPECT_EQ(refusal_of(Response(status, "", "")),
              "the status " + std::to_string(status) + " is not one of 200 to 599");
  }
  EXPECT_THAT(head_of(Response(599, "", "")), HasSubstr("HTTP/1.1 599 Server Error\r\n"));
}

TEST(ComposeHead, RefusesAHeaderNameThatIsNoToken) {
  for (const std::string name : {"", "A B", "A:", "A\r\nB", "\xc3\x84"}) {
    Response response;
    response.add_header(name, "value");
    EXPECT_THAT(refusal_of(response), HasSubstr("is not a token")) << name;
  }
  Response response;
  response.add_header("Se\nt", "value");
  EXPECT_EQ(refusal_of(response),
            "the header name \"Se\\x0At\" is not a token: use letters, digits and hyphens");
}

TEST(ComposeHead, RefusesAHeaderValueThatCouldSplitTheResponse) {
  for (int c = 0; c < 256; ++c) {
    Response response;
    response.add_header("X-A", std::string("a") + static_cast<char>(c) + "b");
    if ((c < 0x20 && c != '\t') || c == 0x7f) {
      EXPECT_THAT(refusal_of(response), HasSubstr("of the header X-A has a control character"))
          << c;
    } else {
      EXPECT_THAT(head_of(response), HasSubstr("X-A: a")) << c;
    }
  }
}

TEST(ComposeHead, ChecksTheHeadersThatItDropsToo) {
  Response response;
  response.add_header("Connection", "a\r\nSet-Cookie: b");
  EXPECT_THAT(refusal_of(response), HasSubstr("of the header Connection has a control character"));
}

TEST(BodyAllowed, IsForFinalResponsesWithContent) {
  EXPECT_TRUE(body_allowed(200, false));
  EXPECT_TRUE(body_allowed(404, false));
  EXPECT_FALSE(body_allowed(200, true));
  EXPECT_FALSE(body_allowed(100, false));
  EXPECT_FALSE(body_allowed(199, false));
  EXPECT_FALSE(body_allowed(204, false));
  EXPECT_FALSE(body_allowed(304, false));
}

TEST(ReasonPhrase, IsTheRegisteredOneOrItsClass) {
  EXPECT_EQ(reason_phrase(100), "Continue");
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(413), "Content Too Large");
  EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
  EXPECT_EQ(reason_phrase(199), "Informational");
  EXPECT_EQ(reason_phrase(299), "Successful");
  EXPECT_EQ(reason_phrase(306), "Redirection");
  EXPECT_EQ(reason_phrase(418), "Client Error");
  EXPECT_EQ(reason_phrase(599), "Server Error");
  EXPECT_EQ(reason_phrase(99), "");
  EXPECT_EQ(reason_phrase(600), "");
  EXPECT_EQ(reason_phrase(-1), "");
}

}  // namespace
