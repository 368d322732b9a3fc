// One TLS connection between its client and the workers: decrypts what the client sends into a
// socketpair, of which the workers get the other end, and encrypts what they answer.
//
// Belongs to a TLS process, whose loop watches the two descriptors for what this wants and then has
// it go on. Never waits. In each direction it reads no further ahead than one record, so a slow
// side slows the other one down, as on a plain connection.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "server/os/descriptor.h"

namespace forktail::server {

class TlsRelay {
 public:
  using Clock = std::chrono::steady_clock;

  enum class Phase {
    handshaking,  // until the client is known
    silent,       // it has not sent a byte of a request yet: no worker knows of it
    unserved,     // it has: the workers are to be given for_workers()
    relaying,     // they have it
    lingering,    // all is sent; what the client still sends is thrown away (RFC 9112, section 9.6)
    ended,
  };

  // `client` is non-blocking. `patience` bounds the handshake, the silence after it, and each wait
  // for the client to take more.
  TlsRelay(SSL_CTX* context, Descriptor client, std::chrono::milliseconds patience);
  ~TlsRelay();
  TlsRelay(const TlsRelay&) = delete;
  TlsRelay& operator=(const TlsRelay&) = delete;

  // What epoll(7) reports of each side.
  void on_client(std::uint32_t events);
  void on_plain(std::uint32_t events);
  // Then: does all that can be done now, up to a bound. True when it stopped there and wants
  // another turn.
  bool go_on();
  // What to wait for on each side, as epoll(7) has it; 0: it is not to be watched at all.
  [[nodiscard]] std::uint32_t client_events() const;
  [[nodiscard]] std::uint32_t plain_events() const;
  // When it is to be ended if nothing has happened.
  [[nodiscard]] std::optional<Clock::time_point> deadline() const { return deadline_; }
  void on_deadline(Clock::time_point now);

  // In `unserved`: the workers' end, to be given to them; and then, that they have it.
  [[nodiscard]] int for_workers() const { return theirs_.get(); }
  void handed_over();

  // Ends it now.
  void end() { phase_ = Phase::ended; }

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] int client() const { return client_.get(); }
  [[nodiscard]] int plain() const { return ours_.get(); }
  // Why it ended before a worker had it, for the log; empty when there is nothing to tell.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  // The subject of the client's certificate (RFC 4514), or empty.
  [[nodiscard]] const std::string& subject() const { return subject_; }

 private:
  bool step();
  bool check_first();
  bool shake_hands();
  void know_client();
  bool relay();
  bool read_client();
  void hear_nothing(int error);
  void begin_request(std::span<const char> bytes);
  void pass_on(std::span<const char> bytes);
  bool read_plain();
  void send_back(std::span<const char> bytes);
  void finish();
  bool linger();
  void fail(std::string why);
  [[nodiscard]] std::string handshake_error(int error) const;

  const std::chrono::milliseconds patience_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  Descriptor client_;
  Descriptor ours_;    // the plain side
  Descriptor theirs_;  // until the workers have it
  Phase phase_ = Phase::handshaking;
  std::string up_;             // decrypted, and not yet taken by the workers' side
  std::string down_;           // of the workers, and not yet taken by the client
  bool heard_ = false;         // the client has sent something
  bool client_in_ = false;     // it may have sent more
  bool client_full_ = false;   // it takes no more now
  bool client_ended_ = false;  // nothing more comes from it
  bool told_ended_ = false;    // and the workers know
  bool plain_in_ = false;      // the workers may have sent more
  bool plain_ended_ = false;   // nothing more comes from them
  Clock::time_point linger_until_;
  std::optional<Clock::time_point> deadline_;
  std::string failure_;
  std::string subject_;
};

}  // namespace forktail::server
