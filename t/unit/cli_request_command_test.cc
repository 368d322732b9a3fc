#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/request.h"
#include "wire_stub_server.h"

namespace {

using forktail::wire::parse_variables;
using forktail::wire::StubConnection;
using forktail::wire::StubServer;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::string_literals;

const std::string kHead = "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n";
const std::string kBody = "a\0b\r\n\xff"s;

// Stands in for one of the standard streams' buffers.
class Swap {
 public:
  Swap(std::ios& stream, std::streambuf* buffer) : stream_(stream), old_(stream.rdbuf(buffer)) {}
  ~Swap() { stream_.rdbuf(old_); }
  Swap(const Swap&) = delete;
  Swap& operator=(const Swap&) = delete;

 private:
  std::ios& stream_;
  std::streambuf* old_;
};

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
  std::string usage_error;
};

Outcome run(std::vector<std::string> arguments, const std::string& input = "") {
  Outcome outcome;
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const Swap swap_in(std::cin, in.rdbuf());
  const Swap swap_out(std::cout, out.rdbuf());
  const Swap swap_err(std::cerr, err.rdbuf());
  CLI::App app;
  forktail::cli::add_request_command(app, outcome.exit_code);
  arguments.insert(arguments.begin(), "request");
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    outcome.usage_error = error.what();
  }
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

// What a server gets from one command, and what the command then says.
class Command : public testing::Test {
 protected:
  Outcome ask(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"--socket", server_.address(), "--timeout", "10s"});
    Outcome outcome = run(std::move(arguments), input);
    EXPECT_EQ(outcome.usage_error, "");
    return outcome;
  }

  // What the last request had.
  [[nodiscard]] std::string variable(std::string_view name) {
    const std::lock_guard lock(mutex_);
    return value_in(packet_, name);
  }

  [[nodiscard]] std::string body() {
    const std::lock_guard lock(mutex_);
    return body_;
  }

  [[nodiscard]] int requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  static std::string value_in(const std::string& packet, std::string_view name) {
    std::vector<forktail::Variable> variables;
    EXPECT_EQ(parse_variables(packet, variables), "");
    for (const auto& variable : variables) {
      if (variable.name == name) {
        return std::string(variable.value);
      }
    }
    return "(not sent)";
  }

  void serve(const StubConnection& connection) {
    for (std::string packet; !(packet = connection.receive_packet()).empty();) {
      const std::string length = value_in(packet, "CONTENT_LENGTH");
      const std::string body = connection.receive(length.empty() ? 0 : std::stoul(length));
      {
        const std::lock_guard lock(mutex_);
        packet_ = packet;
        body_ = body;
        ++requests_;
      }
      connection.send(kHead + kBody);
    }
  }

  std::mutex mutex_;  // of what the server's thread writes
  std::string packet_;
  std::string body_;
  int requests_ = 0;

 protected:
  StubServer server_{[this](const StubConnection& connection) { serve(connection); }};
};

TEST_F(Command, PrintsTheBodyByteForByte) {
  const Outcome outcome = ask({"/orders?limit=1"});
  EXPECT_EQ(outcome.exit_code, 0) << "the status is 404, but an answer it is";
  EXPECT_EQ(outcome.out, kBody);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(variable("REQUEST_METHOD"), "GET");
  EXPECT_EQ(variable("REQUEST_URI"), "/orders?limit=1");
  EXPECT_EQ(variable("REQUEST_ID"), "(not sent)");
}

TEST_F(Command, PrintsTheHeadTooWhenAsked) { EXPECT_EQ(ask({"-i", "/"}).out, kHead + kBody); }

TEST_F(Command, FailsForAnErrorOnlyWhenAsked) {
  const Outcome outcome = ask({"--fail", "/"});
  EXPECT_EQ(outcome.exit_code, 22);
  EXPECT_EQ(outcome.out, kBody);
}

TEST_F(Command, TakesAMethodBeforeThePath) {
  ask({"DELETE", "/orders/1"});
  EXPECT_EQ(variable("REQUEST_METHOD"), "DELETE");
  EXPECT_EQ(variable("PATH_INFO"), "/orders/1");
  ask({"OPTIONS", "*"});
  EXPECT_EQ(variable("REQUEST_URI"), "*");
}

TEST_F(Command, SendsHeadersVariablesAndId) {
  ask({"-H", "X-A: b: c", "-H", "X-Empty:", "--var", "HTTPS=on", "--var", "SERVER_NAME=a=b", "--id",
       "0123456789abcdef", "/"});
  EXPECT_EQ(variable("HTTP_X_A"), "b: c");
  EXPECT_EQ(variable("HTTP_X_EMPTY"), "");
  EXPECT_EQ(variable("HTTPS"), "on");
  EXPECT_EQ(variable("SERVER_NAME"), "a=b");
  EXPECT_EQ(variable("REQUEST_ID"), "0123456789abcdef");
  EXPECT_EQ(variable("PATH_INFO"), "/") << "options take one word each";
}

TEST_F(Command, PostsData) {
  ask({"-d", "a=b", "/"});
  EXPECT_EQ(variable("REQUEST_METHOD"), "POST");
  EXPECT_EQ(variable("CONTENT_TYPE"), "application/x-www-form-urlencoded");
  EXPECT_EQ(body(), "a=b");
  ask({"-d", "{}", "-H", "content-type: application/json", "PUT", "/"});
  EXPECT_EQ(variable("REQUEST_METHOD"), "PUT");
  EXPECT_EQ(variable("CONTENT_TYPE"), "application/json");
  ask({"-d", "", "/"});
  EXPECT_EQ(variable("REQUEST_METHOD"), "POST");
  EXPECT_EQ(body(), "");
}

TEST_F(Command, PostsDataFromStdinAndFile) {
  ask({"-d", "@-", "/"}, kBody);
  EXPECT_EQ(body(), kBody);
  const auto file = std::filesystem::path(server_.address()).replace_filename("data");
  std::ofstream(file, std::ios::binary) << kBody << "from a file";
  ask({"-d", "@" + file.string(), "/"});
  EXPECT_EQ(body(), kBody + "from a file");
}

TEST_F(Command, RepeatsOnOneConnectionWhenKept) {
  EXPECT_EQ(ask({"--repeat", "3", "--keep", "/"}).out, kBody + kBody + kBody);
  EXPECT_EQ(variable("UWSGI_KEEP_CONN"), "1");
  EXPECT_EQ(requests(), 3);
  EXPECT_EQ(server_.connections(), 1);
  EXPECT_EQ(ask({"--repeat", "2", "/"}).out, kBody + kBody);
  EXPECT_EQ(variable("UWSGI_KEEP_CONN"), "(not sent)");
  EXPECT_EQ(server_.connections(), 3);
}

TEST_F(Command, SaysThatItCanNotWrite) {
  class Full : public std::streambuf {};  // takes nothing
  Full full;
  Outcome outcome;
  std::ostringstream err;
  {
    const Swap swap_err(std::cerr, err.rdbuf());
    const Swap swap_out(std::cout, &full);
    CLI::App app;
    forktail::cli::add_request_command(app, outcome.exit_code);
    app.parse(std::vector<std::string>{"/", server_.address(), "-s", "request"});
  }
  std::cout.clear();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(err.str(), "forktail request: can not write the response to stdout\n");
}

TEST(RequestCommand, SaysWhyNoAnswerCame) {
  const Outcome outcome = run({"-s", "/nonexistent/forktail.sock", "/"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err,
              StartsWith("forktail request: /nonexistent/forktail.sock: can not connect"));
}

TEST(RequestCommand, WaitsNoLongerThanTold) {
  const StubServer server([](const StubConnection& connection) {
    static_cast<void>(connection.receive_packet());
    static_cast<void>(connection.receive(1));  // until the client closes
  });
  for (const std::string timeout : {"20ms", "0.02", "0.02s", "0.0005m"}) {
    const Outcome outcome = run({"-s", server.address(), "--timeout", timeout, "/"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err, EndsWith(timeout == "0.0005m" ? "within 30 ms\n" : "within 20 ms\n"));
  }
}

TEST(RequestCommand, Pings) {
  const StubServer server([](const StubConnection& connection) {
    static_cast<void>(connection.receive(4));
    connection.send("\x64\x00\x00\x01"s);
  });
  const Outcome outcome = run({"-s", server.address(), "--ping", "--repeat", "2"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 2);
  EXPECT_THAT(outcome.out, EndsWith(" us\n"));
}

TEST(RequestCommand, RefusesAWrongCommandLine) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"/"}, "--socket is required"},
      {{"-s", "3031", "/"}, "\"3031\" is neither a path nor host:port"},
      {{"-s", "x.sock"}, "PATH: is missing"},
      {{"-s", "x.sock", "orders"}, "\"orders\" does not begin with /"},
      {{"-s", "x.sock", "GET", "orders"}, "\"orders\" does not begin with /"},
      {{"-s", "x.sock", "-H", "no colon", "/"}, "\"no colon\" is not of the form 'Name: value'"},
      {{"-s", "x.sock", "-H", ": value", "/"}, "is not of the form 'Name: value'"},
      {{"-s", "x.sock", "--var", "NAME", "/"}, "\"NAME\" is not of the form NAME=VALUE"},
      {{"-s", "x.sock", "--var", "=VALUE", "/"}, "is not of the form NAME=VALUE"},
      {{"-s", "x.sock", "-d", "@/nonexistent/data", "/"},
       "can not read the file \"/nonexistent/data\""},
      {{"-s", "x.sock", "-d", "@/", "/"}, "can not read the file \"/\""},
      {{"-s", "x.sock", "--repeat", "0", "/"}, "--repeat"},
      {{"-s", "x.sock", "--timeout", "0", "/"}, "--timeout"},
      {{"-s", "x.sock", "--timeout", "5y", "/"}, "--timeout"},
      {{"-s", "x.sock", "--nonsense", "/"}, "--nonsense"},
  };
  for (const auto& [arguments, problem] : cases) {
    const Outcome outcome = run(arguments);
    EXPECT_THAT(outcome.usage_error, HasSubstr(problem));
    EXPECT_EQ(outcome.exit_code, -1) << "it ran";
  }
}

}  // namespace
