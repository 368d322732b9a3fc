#include "doctor/ask.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "wire/cgi.h"
#include "wire/packet.h"

namespace forktail::doctor {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kHttp = "http://";

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

std::string uwsgi_bytes(std::string_view request, std::string_view id) {
  wire::ClientRequest packet;
  packet.method = method_of(request);
  packet.uri = path_of(request);
  packet.headers = {{"User-Agent", "forktail-doctor"}};
  packet.variables = {{"REQUEST_ID", std::string(id)}};
  const std::vector<Header> named = wire::cgi_variables(packet);
  std::vector<Variable> variables;
  for (const auto& [name, value] : named) {
    variables.push_back({name, value});
  }
  return wire::make_packet(wire::kModifierRequest, 0, variables);
}

std::runtime_error ask_failure(const std::string& where, const std::string& what) {
  return std::runtime_error(fmt::format("{}: {}", where, what));
}

std::string last_error() { return std::generic_category().message(errno); }

int milliseconds_until(Clock::time_point end) {
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

void set_limit(int socket, int option, milliseconds limit) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(limit);
  const timeval time{seconds.count(), std::chrono::microseconds(limit - seconds).count()};
  setsockopt(socket, SOL_SOCKET, option, &time, sizeof(time));
}

}  // namespace

Target parse_target(const std::string& text) {
  Target target;
  if (!text.starts_with(kHttp)) {
    if (text.find("://") != std::string::npos) {
      throw std::invalid_argument(fmt::format(
          "\"{}\" is neither http://HOST:PORT nor a uwsgi socket: TLS is not spoken here", text));
    }
    target.address = wire::parse_address(text);
    return target;
  }
  target.http = true;
  std::string rest = text.substr(kHttp.size());
  if (rest.starts_with("unix:")) {
    target.host = "localhost";
  } else {
    rest = rest.substr(0, rest.find('/'));
    target.host = rest;
    const std::size_t end_of_v6 = rest.find(']');
    if (rest.find(':', end_of_v6 == std::string::npos ? 0 : end_of_v6) == std::string::npos) {
      rest += ":80";
    }
  }
  target.address = wire::parse_address(rest);
  return target;
}

Question::Question(const Target& target, std::string_view request, std::string_view id,
                   milliseconds limit)
    : where_(target.address.text), reader_(method_of(request) == "HEAD") {
  socket_ = socket(target.address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) {
    throw ask_failure(where_, "no socket: " + last_error());
  }
  set_limit(socket_, SO_SNDTIMEO, limit);  // connect() honours it
  try {
    if (connect(socket_, target.address.get(), target.address.size) != 0) {
      throw ask_failure(where_, "can not connect: " + last_error());
    }
    send_all(target.http ? http_bytes(target, request, id) : uwsgi_bytes(request, id), limit);
  } catch (...) {
    close(socket_);
    throw;
  }
}

Question::~Question() { close(socket_); }

void Question::send_all(std::string_view bytes, milliseconds limit) const {
  const auto end = Clock::now() + limit;
  while (!bytes.empty()) {
    const ssize_t size = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno != EINTR || Clock::now() > end) {
      throw ask_failure(where_, "can not send the request: " + last_error());
    }
  }
}

bool Question::wait(milliseconds limit) {
  const auto end = Clock::now() + limit;
  std::array<char, 65536> part{};
  while (!reader_.complete()) {
    pollfd waiting{socket_, POLLIN, 0};
    const int events = poll(&waiting, 1, milliseconds_until(end));
    if (events == 0) {
      return false;
    }
    const ssize_t size = events > 0 ? recv(socket_, part.data(), part.size(), MSG_DONTWAIT) : -1;
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
      throw ask_failure(where_, "the connection broke: " + last_error());
    }
    try {
      if (size == 0) {
        reader_.end();
      } else if (size > 0) {
        reader_.feed({part.data(), static_cast<std::size_t>(size)});
      }
    } catch (const wire::MalformedResponse& error) {
      throw ask_failure(where_, error.what());
    }
  }
  return true;
}

}  // namespace forktail::doctor
