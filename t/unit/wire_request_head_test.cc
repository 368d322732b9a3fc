#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "wire/packet.h"
#include "wire/request_head.h"

namespace {

using forktail::Variable;
using forktail::wire::read_head;
using forktail::wire::RequestHead;
using std::chrono::milliseconds;

// A head and the bytes that it points into.
struct Read {
  Read(std::initializer_list<Variable> variables)
      : data(forktail::wire::make_packet(0, 0, std::vector(variables)).substr(4)),
        wrong(read_head(data, head)) {}
  std::string data;
  RequestHead head;
  std::string_view wrong;
};

std::string_view problem(std::initializer_list<Variable> variables) {
  return Read(variables).wrong;
}

TEST(RequestHead, HoldsWhatTheServerReads) {
  const Read read{{"REQUEST_METHOD", "POST"},
                  {"PATH_INFO", "/a b"},
                  {"QUERY_STRING", "c=d"},
                  {"CONTENT_LENGTH", "12"},
                  {"REQUEST_ID", "0123456789abcdef"},
                  {"HTTP_X_REQUEST_ID", "from-client"},
                  {"HTTP_TRACEPARENT", "00-trace"},
                  {"UWSGI_KEEP_CONN", "1"},
                  {"FORKTAIL_SENT", "1764000000.042"}};
  EXPECT_EQ(read.wrong, "");
  EXPECT_EQ(read.head.method, "POST");
  EXPECT_EQ(read.head.path, "/a b");
  EXPECT_EQ(read.head.query, "c=d");
  EXPECT_EQ(read.head.content_length, 12U);
  EXPECT_EQ(read.head.request_id, "0123456789abcdef");
  EXPECT_EQ(read.head.header_id, "from-client");
  EXPECT_EQ(read.head.traceparent, "00-trace");
  EXPECT_TRUE(read.head.keep);
  EXPECT_EQ(read.head.sent, milliseconds(1764000000042));
  EXPECT_EQ(read.head.variables.size(), 9U);
}

TEST(RequestHead, NeedsAMethodAlone) {
  const Read read{{"REQUEST_METHOD", "GET"}};
  EXPECT_EQ(read.wrong, "");
  EXPECT_EQ(read.head.path, "");
  EXPECT_EQ(read.head.content_length, 0U);
  EXPECT_EQ(read.head.request_id, "");
  EXPECT_FALSE(read.head.keep);
  EXPECT_EQ(read.head.sent, std::nullopt);
  EXPECT_EQ(problem({{"PATH_INFO", "/"}}), "REQUEST_METHOD is missing");
}

TEST(RequestHead, TakesTokensAsMethods) {
  for (const auto* method : {"GET", "get", "M-SEARCH", "X!#$%&'*+-.^_`|~09"}) {
    EXPECT_EQ(problem({{"REQUEST_METHOD", method}}), "") << method;
  }
  for (const auto* method : {"", "GE T", "GET/", "G\r\n", "(GET)", "\xc3\x84"}) {
    EXPECT_EQ(problem({{"REQUEST_METHOD", method}}), "REQUEST_METHOD is not a method's name")
        << method;
  }
}

TEST(RequestHead, RefusesAContentLengthThatIsNotDigitsAlone) {
  for (const auto* length : {"-1", "1 ", "1,1", "18446744073709551616"}) {
    EXPECT_EQ(problem({{"REQUEST_METHOD", "GET"}, {"CONTENT_LENGTH", length}}),
              "CONTENT_LENGTH is not a number")
        << length;
  }
}

TEST(RequestHead, RefusesTwoMeaningsOfMethodAndLength) {
  EXPECT_EQ(problem({{"REQUEST_METHOD", "GET"}, {"REQUEST_METHOD", "POST"}}),
            "REQUEST_METHOD is given twice with different values");
  EXPECT_EQ(problem({{"REQUEST_METHOD", ""}, {"REQUEST_METHOD", "POST"}}),
            "REQUEST_METHOD is given twice with different values");
  EXPECT_EQ(problem({{"REQUEST_METHOD", "GET"}, {"CONTENT_LENGTH", ""}, {"CONTENT_LENGTH", "5"}}),
            "CONTENT_LENGTH is given twice with different values");
  const Read same{{"REQUEST_METHOD", "GET"},
                  {"REQUEST_METHOD", "GET"},
                  {"CONTENT_LENGTH", "5"},
                  {"CONTENT_LENGTH", "5"}};
  EXPECT_EQ(same.wrong, "");
  EXPECT_EQ(same.head.content_length, 5U);
}

TEST(RequestHead, TakesTheLastOfOtherVariables) {
  const Read read{{"REQUEST_METHOD", "GET"},
                  {"PATH_INFO", "/first"},
                  {"UWSGI_KEEP_CONN", "1"},
                  {"PATH_INFO", "/last"},
                  {"UWSGI_KEEP_CONN", "0"}};
  EXPECT_EQ(read.head.path, "/last");
  EXPECT_FALSE(read.head.keep);
}

TEST(RequestHead, NobodyCanSayForHimselfWhoHeIs) {
  const Read read{{"REQUEST_METHOD", "GET"},
                  {"TLS_PEER_SUBJECT", "CN=admin"},
                  {"TLS_PEER_SUBJECT", ""},
                  {"PATH_INFO", "/"}};
  EXPECT_EQ(read.wrong, "");
  EXPECT_EQ(read.head.tls_peer, "");
  ASSERT_EQ(read.head.variables.size(), 2U);
  EXPECT_EQ(read.head.variables[1].name, "PATH_INFO");
}

TEST(RequestHead, KeepsOnlyForOne) {
  for (const auto* value : {"", "0", "11", "on", " 1"}) {
    const Read read{{"REQUEST_METHOD", "GET"}, {"UWSGI_KEEP_CONN", value}};
    EXPECT_FALSE(read.head.keep) << value;
  }
}

TEST(RequestHead, IgnoresASendingTimeThatIsNone) {
  for (const auto* value : {"", "1764000000", "1764000000.", "1.42", "1.0042", ".042", "-1.042",
                            "1.-42", "x.042", "99999999999999999.042"}) {
    const Read read{{"REQUEST_METHOD", "GET"}, {"FORKTAIL_SENT", value}};
    EXPECT_EQ(read.wrong, "");
    EXPECT_EQ(read.head.sent, std::nullopt) << value;
  }
}

TEST(RequestHead, SaysWhatIsWrongWithThePacket) {
  RequestHead head;
  EXPECT_EQ(read_head("\x05", head), "the packet ends within a variable's name");
}

TEST(RequestHead, IsReadAgainWithoutTracesOfTheLastAndWithoutNewMemory) {
  Read read{{"REQUEST_METHOD", "POST"}, {"PATH_INFO", "/a"},
            {"CONTENT_LENGTH", "12"},   {"REQUEST_ID", "0123456789abcdef"},
            {"UWSGI_KEEP_CONN", "1"},   {"FORKTAIL_SENT", "1764000000.042"}};
  const Variable* memory = read.head.variables.data();
  const std::string data =
      forktail::wire::make_packet(0, 0, std::vector<Variable>{{"REQUEST_METHOD", "GET"}}).substr(4);
  EXPECT_EQ(read_head(data, read.head), "");
  EXPECT_EQ(read.head.method, "GET");
  EXPECT_EQ(read.head.path, "");
  EXPECT_EQ(read.head.content_length, 0U);
  EXPECT_EQ(read.head.request_id, "");
  EXPECT_FALSE(read.head.keep);
  EXPECT_EQ(read.head.sent, std::nullopt);
  EXPECT_EQ(read.head.variables.size(), 1U);
  EXPECT_EQ(read.head.variables.data(), memory);
}

}  // namespace
