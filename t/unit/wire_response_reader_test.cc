#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wire/response_reader.h"

namespace {

using forktail::wire::ClientResponse;
using forktail::wire::MalformedResponse;
using forktail::wire::ResponseReader;
using testing::HasSubstr;
using namespace std::string_view_literals;

enum class Cut { whole, bytes };

void feed(ResponseReader& reader, std::string_view stream, Cut cut) {
  if (cut == Cut::whole) {
    return reader.feed(stream);
  }
  for (std::size_t i = 0; i < stream.size(); ++i) {
    reader.feed(stream.substr(i, 1));
  }
}

// What a stream that stays open holds, in one piece and in single bytes.
class Reading : public testing::TestWithParam<Cut> {
 protected:
  static ClientResponse read(std::string_view stream, bool head_request = false) {
    ResponseReader reader(head_request);
    feed(reader, stream, GetParam());
    EXPECT_TRUE(reader.complete()) << stream;
    return reader.response();
  }

  static std::string problem(std::string_view stream) {
    ResponseReader reader(false);
    try {
      feed(reader, stream, GetParam());
    } catch (const MalformedResponse& error) {
      return error.what();
    }
    ADD_FAILURE() << "took " << stream;
    return {};
  }

  static std::string problem_at_end(std::string_view stream) {
    ResponseReader reader(false);
    feed(reader, stream, GetParam());
    EXPECT_FALSE(reader.complete());
    try {
      reader.end();
    } catch (const MalformedResponse& error) {
      return error.what();
    }
    ADD_FAILURE() << "took the end after " << stream;
    return {};
  }
};

INSTANTIATE_TEST_SUITE_P(Cuts, Reading, testing::Values(Cut::whole, Cut::bytes),
                         [](const auto& cut) {
                           return cut.param == Cut::whole ? "whole" : "bytes";
                         });

TEST_P(Reading, TakesStatusHeadersAndASizedBody) {
  const auto response = read(
      "HTTP/1.1 404 Not Found\r\nX-A:  one two \r\nx-a: three\r\nContent-Length: 5\r\n\r\nhe\r\no");
  EXPECT_EQ(response.status, 404);
  ASSERT_EQ(response.headers.size(), 3U);
  EXPECT_EQ(response.headers[0].name, "X-A");
  EXPECT_EQ(response.headers[0].value, "one two");
  EXPECT_EQ(response.header("X-a"), "one two") << "the first of several";
  EXPECT_EQ(response.header("X-B"), "");
  EXPECT_EQ(response.body, "he\r\no");
  EXPECT_EQ(response.head,
            "HTTP/1.1 404 Not Found\r\nX-A:  one two \r\nx-a: three\r\nContent-Length: 5\r\n\r\n");
  EXPECT_TRUE(response.kept);
}

TEST_P(Reading, TakesAnEmptyBody) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").body, "");
}

TEST_P(Reading, TakesLinesThatEndInLfAlone) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi").body, "hi");
}

TEST_P(Reading, TakesAStatusLineWithoutAPhrase) {
  EXPECT_EQ(read("HTTP/1.1 204\r\n\r\n").status, 204);
  EXPECT_EQ(read("HTTP/1.1 204 \r\n\r\n").status, 204);
}

TEST_P(Reading, DecodesChunks) {
  const auto response = read(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "5\r\nhello\r\nA;name=value\r\n0123456789\r\n0\r\nX-Trailer: dropped\r\n\r\n");
  EXPECT_EQ(response.body, "hello0123456789");
  EXPECT_EQ(response.header("X-Trailer"), "");
  EXPECT_TRUE(response.kept);
}

TEST_P(Reading, TakesABodyUntilTheEndWhenThereIsNoOtherFrame) {
  ResponseReader reader(false);
  feed(reader, "HTTP/1.1 200 OK\r\n\r\nhello", GetParam());
  EXPECT_FALSE(reader.complete());
  reader.end();
  EXPECT_TRUE(reader.complete());
  EXPECT_EQ(reader.response().body, "hello");
  EXPECT_FALSE(reader.response().kept);
}

TEST_P(Reading, ExpectsNoBodyWhereNoneIsAllowed) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true).body, "");
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true).body, "");
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\n\r\n", true).body, "");
  EXPECT_EQ(read("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n").body, "");
  EXPECT_TRUE(read("HTTP/1.1 204 No Content\r\n\r\n").kept);
}

TEST_P(Reading, SkipsInterimResponsesAndEmptyLinesBeforeTheStatus) {
  const auto response = read(
      "\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.size(), 1U);
  EXPECT_EQ(response.head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST_P(Reading, TakesTheStatusFromACgiHead) {
  EXPECT_EQ(read("Status: 404 Gone\r\nContent-Length: 0\r\n\r\n").status, 404);
  EXPECT_EQ(read("X-A: b\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n").status, 302);
  EXPECT_EQ(read("X-A: b\r\nContent-Length: 0\r\n\r\n").status, 200);
  EXPECT_FALSE(read("Status: 200\r\nContent-Length: 0\r\n\r\n").kept);
}

TEST_P(Reading, KeepsOnlyWhatTheServerLetsItKeep) {
  EXPECT_FALSE(read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").kept);
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").kept);
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x , Close\r\n\r\n").kept);
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: closed\r\n\r\n").kept);
}

TEST_P(Reading, TakesAnEmptyLineAfterTheResponseAsNotice) {
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\r\n").kept);
}

TEST_P(Reading, RefusesBytesAfterTheResponse) {
  EXPECT_THAT(problem("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!"),
              HasSubstr("1 bytes follow the end of the response"));
  EXPECT_THAT(problem("HTTP/1.1 204 No Content\r\n\r\nH"), HasSubstr("follow the end"));
}

TEST_P(Reading, RefusesAStatusLineThatIsNone) {
  EXPECT_THAT(problem("HTTP/2 200 OK\r\n"), HasSubstr("HTTP/1.1 or HTTP/1.0"));
  EXPECT_THAT(problem("HTTP/1.12 200 OK\r\n"), HasSubstr("HTTP/1.1 or HTTP/1.0"));
  EXPECT_THAT(problem("hello\r\n"), HasSubstr("a name and a colon"));
  for (const std::string status : {"", "20", "2000", "099", "600", "2x0", "-12", "200OK"}) {
    EXPECT_THAT(problem("HTTP/1.1 " + status + "\r\n"),
                HasSubstr("the status \"" + status + "\" is not one of 100 to 599"));
  }
  EXPECT_THAT(problem("Status: OK\r\n\r\n"), HasSubstr("the status \"OK\""));
  EXPECT_THAT(problem("Status: 100 Continue\r\n\r\n"), HasSubstr("an interim response"));
}

TEST_P(Reading, RefusesHeaderLinesThatAreNone) {
  for (const std::string line : {": value", "X A: b", " folded", "nothing", "X\xc3\xa4: b"}) {
    EXPECT_THAT(problem("HTTP/1.1 200 OK\r\n" + line + "\r\n"), HasSubstr("a name and a colon"))
        << line;
  }
  EXPECT_THAT(problem("HTTP/1.1 200 OK\r\nX-A: a\rb\r\n"),
              HasSubstr("X-A has a control character"));
  EXPECT_THAT(problem("HTTP/1.1 200 OK\r\nX-A: a\0b\r\n"sv),
              HasSubstr("X-A has a control character"));
}

TEST_P(Reading, RefusesAmbiguousFrames) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const std::string length : {"", "-1", "1 2", "1,1", "18446744073709551616"}) {
    EXPECT_THAT(problem(ok + "Content-Length: " + length + "\r\n\r\n"),
                HasSubstr("the Content-Length \"" + length + "\" is not a number"));
  }
  EXPECT_THAT(problem(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
              HasSubstr("twice with different values"));
  EXPECT_EQ(read(ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na").body, "a");
  EXPECT_THAT(problem(ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
              HasSubstr("both Content-Length and Transfer-Encoding"));
  EXPECT_THAT(problem(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n"),
              HasSubstr("\"gzip, chunked\" is not \"chunked\""));
}

TEST_P(Reading, RefusesChunksThatAreNone) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string size : {"", "x", "-1", "0x5", "5x", "10000000000000000"}) {
    EXPECT_THAT(problem(head + size + "\r\n"), HasSubstr("hexadecimal digits")) << size;
  }
  EXPECT_THAT(problem(head + "2\r\nabc\r\n"), HasSubstr("longer than its size"));
}

TEST_P(Reading, SaysWhereTheStreamEndedTooEarly) {
  EXPECT_EQ(problem_at_end(""), "the connection was closed before an answer came");
  EXPECT_EQ(problem_at_end("\r\n"), "the connection was closed before an answer came");
  EXPECT_EQ(problem_at_end("H"), "the connection was closed within the response's head");
  EXPECT_EQ(problem_at_end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r"),
            "the connection was closed within the response's head");
  EXPECT_EQ(problem_at_end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
            "the connection was closed within the body, after 2 bytes of it");
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string part :
       {"", "5", "5\r\n", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nX: y\r\n"}) {
    EXPECT_THAT(problem_at_end(chunked + part), HasSubstr("closed within the body")) << part;
  }
}

TEST(ResponseReader, LimitsTheHead) {
  const std::string limit(ResponseReader::kMaxHead, 'x');
  ResponseReader line(false);
  line.feed(limit);
  EXPECT_THROW(line.feed("x"), MalformedResponse);
  ResponseReader head(false);
  head.feed("X-A: " + limit.substr(10) + "\r\n");
  EXPECT_THROW(head.feed("X-B: more than is left\r\n"), MalformedResponse);
}

TEST(ResponseReader, MindsNoEndAfterTheResponse) {
  ResponseReader reader(false);
  reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  reader.end();
  EXPECT_TRUE(reader.complete());
}

}  // namespace
