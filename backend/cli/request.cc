#include "cli/request.h"

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "wire/address.h"
#include "wire/client.h"
#include "wire/http.h"

namespace forktail::cli {
namespace {

using std::chrono::milliseconds;

constexpr int kNoAnswer = 1;
constexpr int kHttpError = 22;  // as curl's --fail

struct Options {
  std::string socket;
  std::string method;
  std::string path;
  std::vector<std::string> headers;
  std::vector<std::string> variables;
  std::string data;
  std::string id;
  double timeout_seconds = 30;
  int repeat = 1;
  bool include = false;
  bool keep = false;
  bool fail = false;
  bool ping = false;
};

// Reads through the stream, not its iterators: those throw where it only turns bad.
std::string read_all(std::istream& input) {
  std::string content;
  std::array<char, 65536> part{};
  while (input.read(part.data(), part.size()), input.gcount() > 0) {
    content.append(part.data(), static_cast<std::size_t>(input.gcount()));
  }
  return content;
}

// TEXT, @FILE or @- for stdin.
std::string read_data(const std::string& data) {
  if (!data.starts_with('@')) {
    return data;
  }
  if (data == "@-") {
    return read_all(std::cin);
  }
  std::ifstream file(data.substr(1), std::ios::binary);
  std::string content = read_all(file);
  if (!file.is_open() || file.bad()) {
    throw CLI::ValidationError("--data", "can not read the file \"" + data.substr(1) +
                                             "\": name a readable one, or @- for stdin");
  }
  return content;
}

Header parse_header(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || !wire::is_token(std::string_view(text).substr(0, colon))) {
    throw CLI::ValidationError("--header", "\"" + text + "\" is not of the form 'Name: value'");
  }
  const std::size_t value = text.find_first_not_of(" \t", colon + 1);
  return {text.substr(0, colon), value == std::string::npos ? std::string() : text.substr(value)};
}

Header parse_variable(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw CLI::ValidationError("--var", "\"" + text + "\" is not of the form NAME=VALUE");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

bool has_header(const wire::ClientRequest& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (wire::equals_ignoring_case(header.name, name)) {
      return true;
    }
  }
  return false;
}

wire::ClientRequest make_request(const Options& options, bool with_data) {
  wire::ClientRequest request;
  // Of two words the first is the method; one alone is the path.
  const bool alone = options.path.empty();
  request.uri = alone ? options.method : options.path;
  if (request.uri.empty()) {
    throw CLI::ValidationError("PATH", "is missing: write one like /orders?limit=10, or --ping");
  }
  if (!request.uri.starts_with('/') && request.uri != "*") {
    throw CLI::ValidationError("PATH", "\"" + request.uri + "\" does not begin with /");
  }
  request.method = with_data ? "POST" : "GET";
  if (!alone) {
    request.method = options.method;
  }
  for (const std::string& header : options.headers) {
    request.headers.push_back(parse_header(header));
  }
  if (with_data) {
    request.body = read_data(options.data);
    if (!has_header(request, "Content-Type")) {
      request.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
    }
  }
  if (!options.id.empty()) {
    request.variables.push_back({"REQUEST_ID", options.id});
  }
  for (const std::string& variable : options.variables) {
    request.variables.push_back(parse_variable(variable));
  }
  request.keep = options.keep;
  return request;
}

wire::Address parse_socket(const Options& options) {
  try {
    return wire::parse_address(options.socket);
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError("--socket", error.what());
  }
}

void print(const wire::ClientResponse& response, bool include) {
  if (include) {
    std::cout << response.head;
  }
  std::cout.write(response.body.data(), static_cast<std::streamsize>(response.body.size()));
  if (!std::cout.flush()) {
    throw std::runtime_error("can not write the response to stdout");
  }
}

int ask(const Options& options, wire::Client& client, const wire::ClientRequest& request) {
  const milliseconds timeout(static_cast<milliseconds::rep>(options.timeout_seconds * 1000));
  int exit_code = 0;
  for (int i = 0; i < options.repeat; ++i) {
    if (options.ping) {
      std::cout << client.ping(timeout).count() << " us" << std::endl;
      continue;
    }
    const wire::ClientResponse response = client.request(request, timeout);
    print(response, options.include);
    if (options.fail && response.status >= 400) {
      exit_code = kHttpError;
    }
  }
  return exit_code;
}

int run(const Options& options, bool with_data) {
  const wire::ClientRequest request =
      options.ping ? wire::ClientRequest() : make_request(options, with_data);
  wire::Client client(parse_socket(options));
  try {
    return ask(options, client, request);
  } catch (const std::exception& error) {
    std::cerr << "forktail request: " << error.what() << '\n';
    return kNoAnswer;
  }
}

CLI::Validator duration() {
  return CLI::AsNumberWithUnit(
      std::map<std::string, double>{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::CASE_SENSITIVE, "ms|s|m|h");
}

}  // namespace

void add_request_command(CLI::App& forktail, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      forktail.add_subcommand("request", "send one request to a uwsgi server, as nginx would");
  command->add_option("METHOD", options->method, "without it GET, or POST when there is --data")
      ->option_text(" ");
  command->add_option("PATH", options->path, "percent-encoded, with ?query if there is one")
      ->option_text(" ");
  command->add_option("-s,--socket", options->socket, "a unix socket's path, @name, or host:port")
      ->option_text("ADDRESS (required)")
      ->required();
  command->add_option("-H,--header", options->headers, "a header; may be given again")
      ->option_text("'NAME: VALUE'")
      ->allow_extra_args(false);
  CLI::Option* data =
      command->add_option("-d,--data", options->data, "the body; @- reads it from stdin")
          ->option_text("TEXT|@FILE");
  command
      ->add_option("--var", options->variables,
                   "a uwsgi variable, instead of the usual one; may be given again")
      ->option_text("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--id", options->id, "the request's id (the variable REQUEST_ID)")
      ->option_text("ID");
  command->add_flag("-i,--include", options->include, "print the response's head too");
  command->add_flag("--keep", options->keep, "ask the server to keep the connection");
  command
      ->add_option("--repeat", options->repeat,
                   "how often (default 1); with --keep on one connection")
      ->option_text("N")
      ->check(CLI::Range(1, 1000000000));
  command
      ->add_option(
          "--timeout", options->timeout_seconds,
          "how long a whole response may take (ms, s, m, h; s without a unit; default 30s)")
      ->option_text("DURATION")
      ->transform(duration())
      ->check(CLI::Range(0.001, 1e6));
  command->add_flag("--fail", options->fail, "exit with 22 when the status is 400 or above");
  command->add_flag("--ping", options->ping, "uwsgi's ping instead of a request: prints its time");
  command->footer(
      "The body goes to stdout byte for byte. Exit code: 0 a complete response came, whatever its\n"
      "status (see --fail); 1 none came, and stderr says why; 2 the command line is wrong.");
  command->callback([options, data, &exit_code] { exit_code = run(*options, data->count() > 0); });
}

}  // namespace forktail::cli
