#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "forktail/request.h"

namespace forktail {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::IsEmpty;

const std::vector<Variable> kVariables{
    {"REQUEST_METHOD", "POST"},
    {"PATH_INFO", "/orders/\xc3\xa4"},
    {"QUERY_STRING", "page=2&tag=a&tag=b%21"},
    {"CONTENT_TYPE", "text/plain"},
    {"CONTENT_LENGTH", ""},
    {"REMOTE_ADDR", "192.0.2.7"},
    {"HTTP_USER_AGENT", "curl"},
    {"HTTP_COOKIE", "a=1; sid=\"x y\" ;bare; b==2;a=3;A=4"},
    {"HTTP_X_TWICE", "first"},
    {"HTTP_X_TWICE", "last"},
};
const Request kRequest(kVariables, "the body");

Request form(std::string_view type, std::string_view body, std::vector<Variable>& variables) {
  variables = {{"CONTENT_TYPE", type}};
  return {variables, body};
}

TEST(Request, TellsMethodPathAndQuery) {
  EXPECT_EQ(kRequest.method(), "POST");
  EXPECT_EQ(kRequest.path(), "/orders/\xc3\xa4");
  EXPECT_EQ(kRequest.query_string(), "page=2&tag=a&tag=b%21");
  EXPECT_EQ(kRequest.query("page"), "2");
  EXPECT_EQ(kRequest.query("none"), std::nullopt);
  EXPECT_THAT(kRequest.query().all("tag"), ElementsAre("a", "b!"));
}

TEST(Request, FindsVariablesByTheirExactName) {
  EXPECT_EQ(kRequest.variable("REMOTE_ADDR"), "192.0.2.7");
  EXPECT_EQ(kRequest.variable("remote_addr"), "");
  EXPECT_EQ(kRequest.variables().size(), kVariables.size());
}

TEST(Request, FindsHeadersInAnyCase) {
  EXPECT_EQ(kRequest.header("User-Agent"), "curl");
  EXPECT_EQ(kRequest.header("user-agent"), "curl");
  EXPECT_EQ(kRequest.header("USER_AGENT"), "curl");
  EXPECT_EQ(kRequest.header("Content-Type"), "text/plain");
  EXPECT_EQ(kRequest.header("Host"), "");
  EXPECT_EQ(kRequest.header("Remote-Addr"), "");
}

TEST(Request, TakesTheLastOfAHeaderThatTheWebServerDidNotJoin) {
  EXPECT_EQ(kRequest.header("X-Twice"), "last");
}

TEST(Request, ListsHeadersWithNamesInLowerCase) {
  EXPECT_THAT(kRequest.headers(),
              ElementsAre(FieldsAre("content-type", "text/plain"), FieldsAre("user-agent", "curl"),
                          FieldsAre("cookie", testing::_), FieldsAre("x-twice", "first"),
                          FieldsAre("x-twice", "last")));
}

TEST(Request, FindsTheFirstCookieOfAName) {
  EXPECT_EQ(kRequest.cookie("a"), "1");
  EXPECT_EQ(kRequest.cookie("A"), "4");
  EXPECT_EQ(kRequest.cookie("sid"), "\"x y\"");
  EXPECT_EQ(kRequest.cookie("b"), "=2");
  EXPECT_EQ(kRequest.cookie("bare"), std::nullopt);
  EXPECT_EQ(kRequest.cookie(""), std::nullopt);
  EXPECT_EQ(Request({}, "").cookie("a"), std::nullopt);
}

TEST(Request, ReadsAForm) {
  std::vector<Variable> variables;
  for (const std::string_view type :
       {"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8",
        " application/x-www-form-urlencoded ;x"}) {
    EXPECT_EQ(form(type, "name=J+D&x=1", variables).form().get("name"), "J D") << type;
  }
}

TEST(Request, TakesNothingElseForAForm) {
  std::vector<Variable> variables;
  for (const std::string_view type :
       {"", "application/json", "multipart/form-data", "application/x-www-form-urlencodedx"}) {
    EXPECT_TRUE(form(type, "name=J+D&x=1", variables).form().empty()) << type;
  }
}

TEST(Request, WithoutAnythingIsEmpty) {
  const Request nothing({}, "");
  EXPECT_EQ(nothing.method(), "");
  EXPECT_EQ(nothing.path(), "");
  EXPECT_THAT(nothing.headers(), IsEmpty());
  EXPECT_EQ(nothing.body_stream().left(), 0U);
}

std::string read_all(BodyStream stream, std::size_t piece) {
  std::string all;
  std::vector<char> buffer(piece);
  while (const std::size_t size = stream.read(buffer)) {
    all.append(buffer.data(), size);
  }
  EXPECT_EQ(stream.left(), 0U);
  return all;
}

TEST(BodyStream, ReadsInPiecesOfAnySize) {
  for (const std::size_t piece : {1U, 3U, 8U, 100U}) {
    EXPECT_EQ(read_all(kRequest.body_stream(), piece), "the body");
  }
}

TEST(BodyStream, KnowsWhatIsLeftAndSharesNoPosition) {
  BodyStream first = kRequest.body_stream();
  std::vector<char> three(3);
  EXPECT_EQ(first.read(three), 3U);
  EXPECT_EQ(first.left(), 5U);
  EXPECT_EQ(kRequest.body_stream().left(), 8U);
  EXPECT_EQ(read_all(first, 100), " body");
}

TEST(BodyStream, ReadsASpooledBodyFromItsFile) {
  const std::string body = "from the file, not from the mapping";
  FILE* file = std::tmpfile();
  std::fputs("FROM THE FILE, not from the mapping", file);
  std::fflush(file);
  EXPECT_EQ(read_all(Request({}, body, fileno(file)).body_stream(), 7),
            "FROM THE FILE, not from the mapping");
  std::fclose(file);
}

TEST(BodyStream, ThrowsWhenTheFileHasLostBytes) {
  FILE* file = std::tmpfile();
  std::fputs("short", file);
  std::fflush(file);
  const Request request({}, "longer than the file", fileno(file));
  BodyStream stream = request.body_stream();
  std::vector<char> buffer(100);
  EXPECT_THROW(stream.read(buffer), std::system_error);
  std::fclose(file);
}

}  // namespace
}  // namespace forktail
