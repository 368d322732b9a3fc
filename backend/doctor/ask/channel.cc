#include "doctor/ask/channel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

namespace forktail::doctor {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::runtime_error channel_failure(const std::string& where, const std::string& what) {
  return std::runtime_error(fmt::format("{}: {}", where, what));
}

std::string reason_of(int error) { return std::generic_category().message(error); }

std::string tls_reason() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_peek_last_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

bool is_number(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

// connect() honours it.
void set_limit(int socket, milliseconds limit) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(limit);
  const timeval time{seconds.count(), std::chrono::microseconds(limit - seconds).count()};
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

}  // namespace

Channel::Channel(const wire::Address& address, bool tls, const std::string& host,
                 milliseconds limit)
    : where_(address.text),
      socket_(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (socket_ < 0) {
    throw channel_failure(where_, "no socket: " + reason_of(errno));
  }
  set_limit(socket_, limit);
  if (connect(socket_, address.get(), address.size) != 0) {
    const int error = errno;
    close(socket_);
    throw channel_failure(where_, "can not connect: " + reason_of(error));
  }
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
  try {
    if (tls) {
      begin_tls(host);
    }
  } catch (...) {
    close(socket_);
    throw;
  }
}

Channel::~Channel() {
  tls_.reset();
  close(socket_);
}

// The handshake itself is made by the first send().
void Channel::begin_tls(const std::string& host) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes by write(2)
  context_.reset(SSL_CTX_new(TLS_client_method()));
  tls_.reset(context_ ? SSL_new(context_.get()) : nullptr);
  if (!tls_ || SSL_set_fd(tls_.get(), socket_) != 1) {
    throw channel_failure(where_, "no TLS: " + tls_reason());
  }
  SSL_set_mode(tls_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_set_verify(tls_.get(), SSL_VERIFY_NONE, nullptr);
  const std::string name = host.substr(0, host.find(':'));
  if (!name.empty() && !host.starts_with('[') && !is_number(name)) {
    SSL_set_tlsext_host_name(tls_.get(), name.c_str());
  }
  SSL_set_connect_state(tls_.get());
}

std::optional<std::size_t> Channel::went_over(int result, const char* what) {
  if (result > 0) {
    return static_cast<std::size_t>(result);
  }
  const int error = errno;
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      wanted_ = POLLIN;
      return std::nullopt;
    case SSL_ERROR_WANT_WRITE:
      wanted_ = POLLOUT;
      return std::nullopt;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_SYSCALL:
      throw channel_failure(where_, fmt::format("{}: {}", what, reason_of(error)));
    default:
      throw channel_failure(where_, fmt::format("{}: {}", what, tls_reason()));
  }
}

std::optional<std::size_t> Channel::send(std::string_view bytes) {
  constexpr const char* kWhat = "can not send the request";
  if (tls_) {
    errno = 0;
    return went_over(SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size())), kWhat);
  }
  const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (size < 0 && errno != EAGAIN && errno != EINTR) {
    throw channel_failure(where_, fmt::format("{}: {}", kWhat, reason_of(errno)));
  }
  wanted_ = POLLOUT;
  return size < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(size));
}

std::optional<std::size_t> Channel::receive(std::span<char> into) {
  constexpr const char* kWhat = "the connection broke";
  if (tls_) {
    errno = 0;
    return went_over(SSL_read(tls_.get(), into.data(), static_cast<int>(into.size())), kWhat);
  }
  const ssize_t size = recv(socket_, into.data(), into.size(), 0);
  if (size < 0 && errno != EAGAIN && errno != EINTR) {
    throw channel_failure(where_, fmt::format("{}: {}", kWhat, reason_of(errno)));
  }
  wanted_ = POLLIN;
  return size < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(size));
}

bool Channel::ready(Clock::time_point end) const {
  const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
  pollfd waiting{socket_, wanted_, 0};
  return poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0) != 0;
}

}  // namespace forktail::doctor
