#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "forktail/router.h"

namespace forktail {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// Answers with its name.
Router::Handler named(std::string name) {
  return [name](const Request&, Context&, const Params&) { return Response(200, "", name); };
}

Response ask(const Router& router, std::string_view method, std::string_view path) {
  const std::vector<Variable> variables{{"REQUEST_METHOD", method}, {"PATH_INFO", path}};
  Context context("the-id-of-it", "", Worker{}, Context::Clock::time_point::max());
  return router.handle(Request(variables, ""), context);
}

std::string body_of(const Router& router, std::string_view path, std::string_view method = "GET") {
  return ask(router, method, path).body();
}

std::string allow_of(const Response& response) {
  for (const Header& header : response.headers()) {
    if (header.name == "Allow") {
      return header.value;
    }
  }
  return "(none)";
}

TEST(Router, ChoosesByThePath) {
  Router router;
  router.get("/", named("root")).get("/a", named("a")).get("/a/b", named("a b"));
  EXPECT_EQ(body_of(router, "/"), "root");
  EXPECT_EQ(body_of(router, "/a"), "a");
  EXPECT_EQ(body_of(router, "/a/b"), "a b");
}

TEST(Router, GivesTheHandlerWhatStandsForItsParameters) {
  Router router;
  router.get("/{shop}/orders/{id}", [](const Request&, Context& context, const Params& params) {
    return Response(200, "",
                    std::string(params["shop"]) + "," + std::string(params["id"]) + "," +
                        std::string(context.id()));
  });
  EXPECT_EQ(body_of(router, "/north/orders/a b%"), "north,a b%,the-id-of-it");
}

TEST(Router, KnowsNoOtherParameters) {
  Router router;
  router.get("/{id}", [](const Request&, Context&, const Params& params) {
    return Response(200, "", std::string(params["ID"]));
  });
  EXPECT_THAT([&] { ask(router, "GET", "/7"); },
              ThrowsMessage<std::out_of_range>("the route has no parameter {ID}"));
}

TEST(Router, AnswersAnUnknownPathBy404WithTheId) {
  Router router;
  router.get("/orders/{id}", named("order")).get("/orders", named("orders"));
  for (const std::string_view path : {"", "/", "/order", "/orders/", "/orders/1/", "/orders/1/2",
                                      "/ORDERS", "orders", "//orders"}) {
    const Response response = ask(router, "GET", path);
    EXPECT_EQ(response.status(), 404) << path;
    EXPECT_EQ(response.body(), "404 Not Found\nrequest id: the-id-of-it\n");
  }
}

TEST(Router, AnswersAnUnknownMethodBy405AndSaysWhichAreKnown) {
  Router router;
  router.get("/a", named("get")).post("/a", named("post")).del("/b/{x}", named("delete"));
  const Response response = ask(router, "PUT", "/a");
  EXPECT_EQ(response.status(), 405);
  EXPECT_EQ(allow_of(response), "GET, POST, HEAD");
  EXPECT_EQ(response.body(), "405 Method Not Allowed\nrequest id: the-id-of-it\n");
  EXPECT_EQ(allow_of(ask(router, "HEAD", "/b/1")), "DELETE");
  EXPECT_EQ(ask(router, "get", "/a").status(), 405);
}

TEST(Router, HasAHandlerForEachMethod) {
  Router router;
  router.get("/", named("get")).post("/", named("post")).put("/", named("put"));
  router.patch("/", named("patch")).del("/", named("del")).add("PURGE", "/", named("purge"));
  EXPECT_EQ(body_of(router, "/", "GET"), "get");
  EXPECT_EQ(body_of(router, "/", "POST"), "post");
  EXPECT_EQ(body_of(router, "/", "PUT"), "put");
  EXPECT_EQ(body_of(router, "/", "PATCH"), "patch");
  EXPECT_EQ(body_of(router, "/", "DELETE"), "del");
  EXPECT_EQ(body_of(router, "/", "PURGE"), "purge");
}

TEST(Router, AnswersHeadByGetUnlessItHasItsOwn) {
  Router router;
  router.get("/a", named("get")).any("/a", named("any"));
  router.get("/b", named("get")).add("HEAD", "/b", named("head"));
  EXPECT_EQ(body_of(router, "/a", "HEAD"), "get");
  EXPECT_EQ(body_of(router, "/b", "HEAD"), "head");
  EXPECT_EQ(allow_of(ask(router, "PUT", "/b")), "GET, HEAD");
}

TEST(Router, AnswersAnyOtherMethodByAny) {
  Router router;
  router.any("/a", named("any")).get("/a", named("get"));
  EXPECT_EQ(body_of(router, "/a", "GET"), "get");
  EXPECT_EQ(body_of(router, "/a", "BREW"), "any");
}

// Each in both orders, so that the order can not be what decides.
void expect_first(const std::string& winner, const std::string& loser, std::string_view path) {
  EXPECT_EQ(body_of(Router().get(winner, named("winner")).get(loser, named("loser")), path),
            "winner")
      << winner << " before " << loser;
  EXPECT_EQ(body_of(Router().get(loser, named("loser")).get(winner, named("winner")), path),
            "winner")
      << winner << " after " << loser;
}

TEST(Router, PrefersALiteralToAParameterInTheFirstSegmentThatDiffers) {
  expect_first("/orders/new", "/orders/{id}", "/orders/new");
  expect_first("/b/{c}/y", "/{a}/x/y", "/b/x/y");
  expect_first("/b/{c}/{d}", "/{a}/x/y", "/b/x/y");
  expect_first("/b/{c}/y", "/b/{c}/{d}", "/b/x/y");
  expect_first("/a/b/{x}", "/a/{x}/c", "/a/b/c");
}

TEST(Router, GoesBackToAParameterWhereTheLiteralLeadsNowhere) {
  Router router;
  router.get("/a/b/c", named("literal")).get("/{x}/{y}/d", named("parameters"));
  EXPECT_EQ(body_of(router, "/a/b/d"), "parameters");
}

TEST(Router, ChoosesThePathBeforeTheMethod) {
  Router router;
  router.get("/orders/new", named("form")).post("/orders/{id}", named("change"));
  EXPECT_EQ(ask(router, "POST", "/orders/new").status(), 405);
}

TEST(Router, LetsEachMethodNameTheParametersForItself) {
  Router router;
  router.get("/{id}", [](const Request&, Context&, const Params& params) {
    return Response(200, "", "get " + std::string(params["id"]));
  });
  router.put("/{name}", [](const Request&, Context&, const Params& params) {
    return Response(200, "", "put " + std::string(params["name"]));
  });
  EXPECT_EQ(body_of(router, "/7", "GET"), "get 7");
  EXPECT_EQ(body_of(router, "/7", "PUT"), "put 7");
}

TEST(Router, PassesOnWhatTheHandlerThrows) {
  Router router;
  router.get("/", [](const Request&, Context&, const Params&) -> Response {
    throw std::runtime_error("from the handler");
  });
  EXPECT_THAT([&] { ask(router, "GET", "/"); },
              ThrowsMessage<std::runtime_error>("from the handler"));
}

struct Refused {
  std::string_view pattern;
  std::string_view why;
};
class RouterRefuses : public testing::TestWithParam<Refused> {};

TEST_P(RouterRefuses, WhatIsNoPattern) {
  EXPECT_THAT([] { Router().get(GetParam().pattern, named("")); },
              ThrowsMessage<std::invalid_argument>(
                  testing::AllOf(HasSubstr("\"" + std::string(GetParam().pattern) + "\""),
                                 HasSubstr(std::string(GetParam().why)))));
}

INSTANTIATE_TEST_SUITE_P(
    All, RouterRefuses,
    testing::Values(Refused{"", "does not begin with a slash"},
                    Refused{"orders", "does not begin with a slash"},
                    Refused{"/a{id}", "neither a literal nor one whole {name}"},
                    Refused{"/{id}.json", "neither a literal nor one whole {name}"},
                    Refused{"/{}", "neither a literal nor one whole {name}"},
                    Refused{"/{a}{b}", "neither a literal nor one whole {name}"},
                    Refused{"/{id", "neither a literal nor one whole {name}"},
                    Refused{"/id}", "neither a literal nor one whole {name}"},
                    Refused{"/{", "neither a literal nor one whole {name}"},
                    Refused{"/{id}/{id}", "has two parameters {id}"}));

TEST(Router, RefusesASecondHandler) {
  Router router;
  router.get("/{a}", named("")).any("/", named(""));
  EXPECT_THAT(
      [&] { router.get("/{b}", named("")); },
      ThrowsMessage<std::invalid_argument>("the route \"/{b}\" has a handler for GET already"));
  EXPECT_THAT(
      [&] { router.any("/", named("")); },
      ThrowsMessage<std::invalid_argument>("the route \"/\" has a handler for any() already"));
}

}  // namespace
}  // namespace forktail
