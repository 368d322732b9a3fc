#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "wire/cgi.h"

namespace {

using forktail::Header;
using forktail::wire::cgi_variables;
using forktail::wire::ClientRequest;
using forktail::wire::percent_decoded;

std::optional<std::string> value_of(const ClientRequest& request, const std::string& name) {
  std::optional<std::string> value;
  for (const Header& variable : cgi_variables(request)) {
    if (variable.name == name) {
      EXPECT_EQ(value, std::nullopt) << name << " is there twice";
      value = variable.value;
    }
  }
  return value;
}

TEST(CgiVariables, AreThoseOfNginxInItsOrder) {
  std::string names;
  for (const Header& variable : cgi_variables({})) {
    names += variable.name + ' ';
  }
  EXPECT_EQ(names,
            "QUERY_STRING REQUEST_METHOD CONTENT_TYPE CONTENT_LENGTH REQUEST_URI PATH_INFO "
            "DOCUMENT_ROOT SERVER_PROTOCOL REQUEST_SCHEME REMOTE_ADDR REMOTE_PORT SERVER_PORT "
            "SERVER_NAME HTTP_HOST FORKTAIL_SENT ");
}

TEST(CgiVariables, SplitTheUri) {
  ClientRequest request;
  request.method = "PUT";
  request.uri = "/a%20b/%C3%A4?c=%20d?e";
  EXPECT_EQ(value_of(request, "REQUEST_METHOD"), "PUT");
  EXPECT_EQ(value_of(request, "REQUEST_URI"), "/a%20b/%C3%A4?c=%20d?e");
  EXPECT_EQ(value_of(request, "PATH_INFO"), "/a b/\xc3\xa4");
  EXPECT_EQ(value_of(request, "QUERY_STRING"), "c=%20d?e");
  request.uri = "/";
  EXPECT_EQ(value_of(request, "QUERY_STRING"), "");
}

TEST(CgiVariables, TellTheBodysLengthAsAnHttpClientWould) {
  ClientRequest request;
  EXPECT_EQ(value_of(request, "CONTENT_LENGTH"), "");
  EXPECT_EQ(value_of(request, "HTTP_CONTENT_LENGTH"), std::nullopt);
  request.body = "hello";
  EXPECT_EQ(value_of(request, "CONTENT_LENGTH"), "5");
  EXPECT_EQ(value_of(request, "HTTP_CONTENT_LENGTH"), "5");
  request.headers = {{"content-length", "7"}, {"Content-Type", "text/plain"}};
  EXPECT_EQ(value_of(request, "CONTENT_LENGTH"), "7") << "what the user says goes, also wrong";
  EXPECT_EQ(value_of(request, "CONTENT_TYPE"), "text/plain");
  EXPECT_EQ(value_of(request, "HTTP_CONTENT_TYPE"), "text/plain");
}

TEST(CgiVariables, JoinHeadersOfOneName) {
  ClientRequest request;
  request.headers = {
      {"X-Some_Thing", "1"}, {"x-some-thing", "2"}, {"Cookie", "a=b"}, {"cookie", "c=d"}};
  EXPECT_EQ(value_of(request, "HTTP_X_SOME_THING"), "1, 2");
  EXPECT_EQ(value_of(request, "HTTP_COOKIE"), "a=b; c=d");
}

TEST(CgiVariables, NameTheHost) {
  ClientRequest request;
  EXPECT_EQ(value_of(request, "HTTP_HOST"), "localhost");
  request.headers = {{"host", "shop.example"}};
  EXPECT_EQ(value_of(request, "HTTP_HOST"), "shop.example");
}

TEST(CgiVariables, AskToKeepTheConnectionOnlyWhenToldTo) {
  ClientRequest request;
  EXPECT_EQ(value_of(request, "UWSGI_KEEP_CONN"), std::nullopt);
  request.keep = true;
  EXPECT_EQ(value_of(request, "UWSGI_KEEP_CONN"), "1");
}

TEST(CgiVariables, SaySecondsAndMillisecondsOfTheirMaking) {
  const std::string sent = value_of({}, "FORKTAIL_SENT").value_or("");
  ASSERT_GE(sent.size(), 5U);
  EXPECT_EQ(sent[sent.size() - 4], '.');
  EXPECT_EQ(sent.find_first_not_of("0123456789."), std::string::npos);
}

TEST(CgiVariables, AreReplacedByThoseOfTheRequest) {
  ClientRequest request;
  request.variables = {
      {"SERVER_NAME", "shop"}, {"REQUEST_ID", "one"}, {"REQUEST_ID", "two"}, {"EMPTY", ""}};
  EXPECT_EQ(value_of(request, "SERVER_NAME"), "shop");
  EXPECT_EQ(value_of(request, "REQUEST_ID"), "two");
  EXPECT_EQ(value_of(request, "EMPTY"), "");
}

TEST(PercentDecoded, LeavesWhatIsNoEscape) {
  EXPECT_EQ(percent_decoded("%41%4a%4A%00b"), std::string("AJJ\0b", 5));
  EXPECT_EQ(percent_decoded("a+b%2"), "a+b%2");
  EXPECT_EQ(percent_decoded("%"), "%");
  EXPECT_EQ(percent_decoded("%g1%1g%%41"), "%g1%1g%A");
}

}  // namespace
