// A connection to a server, plain or by TLS, that never waits by itself.
//
// Owns its socket. Used by one thread. Raises no SIGPIPE: the first that speaks TLS has the process
// ignore it.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "wire/address.h"

namespace forktail::doctor {

class Channel {
 public:
  // Connects within `limit`. By TLS nobody's certificate is asked for: it is a test environment's.
  // Throws std::runtime_error when nobody listens.
  Channel(const wire::Address& address, bool tls, const std::string& host,
          std::chrono::milliseconds limit);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // How many bytes went over; 0 when the other side has ended; nothing when it would have to wait:
  // ready() does. Throw std::runtime_error when the connection breaks.
  std::optional<std::size_t> send(std::string_view bytes);
  std::optional<std::size_t> receive(std::span<char> into);

  // Waits until what had to wait can go on; false when it can not by `end`.
  [[nodiscard]] bool ready(std::chrono::steady_clock::time_point end) const;

 private:
  void begin_tls(const std::string& host);
  std::optional<std::size_t> went_over(int result, const char* what);

  const std::string where_;
  int socket_ = -1;
  short wanted_ = 0;  // as of poll(2)
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> tls_{nullptr, SSL_free};
};

}  // namespace forktail::doctor
