#include "wire/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "id/validate.h"

namespace forktail::wire {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  std::array<char, 256> shown{};
  const std::size_t size = id::escape(text, shown.data(), shown.size());
  throw std::invalid_argument("the address \"" + std::string(shown.data(), size) + "\" " + why);
}

// The socket addresses are written by the kernel's layout into one storage; copying them out keeps
// to the aliasing rules.
template <typename Sockaddr>
Sockaddr as(const sockaddr_storage& storage) {
  Sockaddr copy;
  std::memcpy(&copy, &storage, sizeof(copy));
  return copy;
}

Address unix_address(std::string_view text, std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // An abstract name is not terminated: its size counts. A path is, so one byte less fits; the "@"
  // stands for the leading zero, which makes both limits equal to the length as written.
  constexpr std::size_t kMaxPath = sizeof(address.sun_path) - 1;
  const bool abstract = path.starts_with('@');
  if (path.empty() || path == "@") {
    refuse(text, "has no path: write one like /run/forktail.sock");
  }
  if (path.size() > kMaxPath) {
    refuse(text, "is too long for a unix socket: " + std::to_string(path.size()) +
                     " characters, but at most " + std::to_string(kMaxPath) + " fit");
  }
  if (path.find('\0') != std::string_view::npos) {
    refuse(text, "has a NUL character: leave it out");
  }
  path.copy(address.sun_path, kMaxPath);
  std::size_t used = path.size() + 1;
  if (abstract) {
    address.sun_path[0] = '\0';
    used = path.size();
  }
  Address result{
      {}, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + used), std::string(path)};
  std::memcpy(&result.storage, &address, sizeof(address));
  return result;
}

void check_port(std::string_view text, std::string_view port) {
  std::uint16_t number = 0;
  const char* end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data(), end, number);
  if (error != std::errc() || stop != end || number == 0) {
    refuse(text, "has the port \"" + std::string(port) + "\": write one from 1 to 65535");
  }
}

Address tcp_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::string host(text.substr(0, colon));
  const std::string port(text.substr(colon + 1));
  check_port(text, port);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    refuse(text, "is ambiguous: write an IPv6 address in brackets, like [::1]:3031");
  }

  addrinfo hints{};
  hints.ai_family = host.empty() ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &list);
  if (error != 0) {
    refuse(text, "does not resolve (" + std::string(gai_strerror(error)) +
                     "): write an IP address like 127.0.0.1:3031, or a name that the resolver "
                     "knows");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  Address result{{}, list->ai_addrlen, std::string(text)};
  std::memcpy(&result.storage, list->ai_addr, list->ai_addrlen);
  return result;
}

bool is_number(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool Address::is_unix() const { return storage.ss_family == AF_UNIX; }

bool Address::is_loopback() const {
  constexpr unsigned kLoopbackNetwork = 127;
  if (storage.ss_family == AF_INET) {
    return ntohl(as<sockaddr_in>(storage).sin_addr.s_addr) >> 24 == kLoopbackNetwork;
  }
  if (storage.ss_family == AF_INET6) {
    const in6_addr address = as<sockaddr_in6>(storage).sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&address) ||
           (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == kLoopbackNetwork);
  }
  return false;
}

std::string Address::path() const { return is_unix() ? text : std::string(); }

bool names_path(std::string_view text) {
  const bool prefixed = text.starts_with(kUnixPrefix);
  if (prefixed) {
    text.remove_prefix(kUnixPrefix.size());
  }
  return !text.empty() && !text.starts_with('@') &&
         (prefixed || text.find('/') != std::string_view::npos ||
          (text.find(':') == std::string_view::npos && !is_number(text)));
}

Address parse_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) {
    return unix_address(text, text.substr(kUnixPrefix.size()));
  }
  if (text.empty() || is_number(text)) {
    refuse(text,
           "is neither a path nor host:port: write one like /run/forktail.sock or "
           "127.0.0.1:3031");
  }
  return text.starts_with('@') || names_path(text) ? unix_address(text, text) : tcp_address(text);
}

}  // namespace forktail::wire
