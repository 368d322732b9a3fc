#include "doctor/ask/ask.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "wire/cgi.h"
#include "wire/packet.h"

namespace forktail::doctor {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kLongestAnswer = std::size_t{16} << 20;

struct Scheme {
  std::string_view text;
  Speech speech;
  bool tls;
  std::string_view port;
};

constexpr std::array<Scheme, 3> kSchemes{{{"http://", Speech::http, false, ":80"},
                                          {"https://", Speech::http, true, ":443"},
                                          {"fcgi://", Speech::fastcgi, false, ":9000"}}};

std::string_view method_of(std::string_view request) {
  return request.substr(0, request.find(' '));
}
std::string_view path_of(std::string_view request) { return request.substr(request.find(' ') + 1); }

std::string http_bytes(const Target& target, std::string_view request, std::string_view id) {
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: forktail-doctor\r\nX-Request-ID: {}\r\n"
      "Accept: */*\r\nConnection: close\r\n\r\n",
      method_of(request), path_of(request), target.host, id);
}

std::vector<Header> variables_of(const Target& target, std::string_view request,
                                 std::string_view id) {
  wire::ClientRequest packet;
  packet.method = method_of(request);
  packet.uri = path_of(request);
  packet.headers = {{"User-Agent", "forktail-doctor"}};
  packet.variables = {{"REQUEST_ID", std::string(id)}};
  packet.variables.insert(packet.variables.end(), target.variables.begin(), target.variables.end());
  return wire::cgi_variables(packet);
}

std::string uwsgi_bytes(const std::vector<Header>& named) {
  std::vector<Variable> variables;
  for (const auto& [name, value] : named) {
    variables.push_back({name, value});
  }
  return wire::make_packet(wire::kModifierRequest, 0, variables);
}

const std::string* value_of(const std::vector<Header>& variables, std::string_view name) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const Header& one) { return one.name == name; });
  return found == variables.end() ? nullptr : &found->value;
}

// Who serves FastCGI wants to be told the script: as web servers do it, the path below the root.
std::string fastcgi_bytes(const Target& target, std::string_view request, std::string_view id) {
  std::vector<Header> variables = variables_of(target, request, id);
  if (value_of(target.variables, "PATH_INFO") == nullptr) {
    // What stands behind a script's name: nothing.
    std::erase_if(variables, [](const Header& one) { return one.name == "PATH_INFO"; });
  }
  const std::string path(path_of(request).substr(0, path_of(request).find('?')));
  const std::string* root = value_of(variables, "DOCUMENT_ROOT");
  if (value_of(variables, "SCRIPT_FILENAME") == nullptr && root != nullptr && !root->empty()) {
    variables.push_back({"SCRIPT_FILENAME", *root + path});
  }
  if (value_of(variables, "SCRIPT_NAME") == nullptr) {
    variables.push_back({"SCRIPT_NAME", path});
  }
  variables.push_back({"GATEWAY_INTERFACE", "CGI/1.1"});
  return fastcgi_request(variables);
}

std::string bytes_of(const Target& target, std::string_view request, std::string_view id) {
  switch (target.speech) {
    case Speech::http:
      return http_bytes(target, request, id);
    case Speech::fastcgi:
      return fastcgi_bytes(target, request, id);
    case Speech::uwsgi:
      break;
  }
  return uwsgi_bytes(variables_of(target, request, id));
}

}  // namespace

Target parse_target(const std::string& text) {
  Target target;
  const auto* scheme = std::find_if(kSchemes.begin(), kSchemes.end(),
                                    [&](const Scheme& one) { return text.starts_with(one.text); });
  if (scheme == kSchemes.end()) {
    if (text.find("://") != std::string::npos) {
      throw std::invalid_argument(
          fmt::format("\"{}\" is none of http://HOST:PORT, https://HOST:PORT, fcgi://HOST:PORT (or "
                      "http://unix:/PATH, fcgi://unix:/PATH), nor a uwsgi socket",
                      text));
    }
    target.address = wire::parse_address(text);
    return target;
  }
  target.speech = scheme->speech;
  target.tls = scheme->tls;
  std::string rest = text.substr(scheme->text.size());
  if (rest.starts_with("unix:")) {
    target.host = "localhost";
  } else {
    rest = rest.substr(0, rest.find('/'));
    target.host = rest;
    const std::size_t end_of_v6 = rest.find(']');
    if (rest.find(':', end_of_v6 == std::string::npos ? 0 : end_of_v6) == std::string::npos) {
      rest += scheme->port;
    }
  }
  target.address = wire::parse_address(rest);
  return target;
}

Question::Question(const Target& target, std::string_view request, std::string_view id,
                   milliseconds limit)
    : where_(target.address.text),
      channel_(target.address, target.tls, target.host, limit),
      unsent_(bytes_of(target, request, id)),
      fastcgi_(target.speech == Speech::fastcgi),
      reader_(method_of(request) == "HEAD") {}

void Question::take(std::string_view bytes) {
  if (!fastcgi_) {
    bytes.empty() ? reader_.end() : reader_.feed(bytes);
    return;
  }
  std::string output;
  records_.feed(bytes, output);
  if (!output.empty()) {
    reader_.feed(output);
  }
  if (!reader_.complete() && (records_.over() || bytes.empty())) {
    reader_.end();
  }
}

// False when it had to wait.
bool Question::go_on() {
  if (!unsent_.empty()) {
    const auto size = channel_.send(unsent_);
    if (size == std::size_t{0}) {
      throw std::runtime_error("the connection ended before the request was sent");
    }
    unsent_.erase(0, size.value_or(0));
    return size.has_value();
  }
  std::array<char, 65536> part{};
  const auto size = channel_.receive(part);
  if (size) {
    take({part.data(), *size});
  }
  return size.has_value();
}

bool Question::wait(milliseconds limit) {
  const auto end = Clock::now() + limit;
  try {
    while (!reader_.complete()) {
      if (!go_on() && !channel_.ready(end)) {
        return false;
      }
      if (reader_.response().body.size() > kLongestAnswer) {
        throw std::runtime_error(fmt::format(
            "the answer is longer than {} MB: ask for a shorter one", kLongestAnswer >> 20U));
      }
      if (Clock::now() > end) {
        return reader_.complete();
      }
    }
  } catch (const std::runtime_error& error) {
    const std::string what = error.what();
    throw std::runtime_error(what.starts_with(where_) ? what : fmt::format("{}: {}", where_, what));
  }
  return true;
}

}  // namespace forktail::doctor
