#include "server/child/tls_relay.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "server/dispatch/tls_queue.h"
#include "wire/packet.h"

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t kRecord = 16384;  // the most that is in one (RFC 8446, section 5.1)
// How much one connection may do before others have their turn.
constexpr int kSteps = 16;
constexpr milliseconds kSilence{1000};
constexpr char kHandshakeRecord = 0x16;

// One thread, and nothing in it outlives a step.
std::array<char, kRecord>& scratch() {
  static std::array<char, kRecord> bytes;
  return bytes;
}

bool would_block(int error) { return error == EAGAIN || error == EINTR; }

std::string text_of(int error) { return std::generic_category().message(error); }

std::string subject_of(const X509* certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), BIO_free);
  if (!text || X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0,
                                  XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) {
    return {};
  }
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(text.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace

TlsRelay::TlsRelay(SSL_CTX* context, Descriptor client, milliseconds patience)
    : patience_(patience),
      ssl_(SSL_new(context), SSL_free),
      client_(std::move(client)),
      deadline_(Clock::now() + patience) {
  if (!ssl_ || SSL_set_fd(ssl_.get(), client_.get()) != 1) {
    fail("the TLS handshake failed: no memory");
    return;
  }
  SSL_set_accept_state(ssl_.get());
  const int on = 1;  // each record is sent when it is whole
  setsockopt(client_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

TlsRelay::~TlsRelay() = default;

bool TlsRelay::go_on() {
  for (int i = 0; i < kSteps; ++i) {
    if (phase_ == Phase::ended || !step()) {
      return false;
    }
  }
  return phase_ != Phase::ended;
}

void TlsRelay::on_client(std::uint32_t events) {
  if (phase_ == Phase::unserved) {
    return end();  // the client has left
  }
  client_in_ |= (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0;
}

void TlsRelay::on_plain(std::uint32_t events) {
  plain_in_ |= (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0;
}

// Says whether anything was done.
bool TlsRelay::step() {
  switch (phase_) {
    case Phase::handshaking:
      return shake_hands();
    case Phase::silent:
      return read_client();
    case Phase::relaying:
      return relay();
    case Phase::lingering:
      return linger();
    case Phase::unserved:
    case Phase::ended:
      break;
  }
  return false;
}

bool TlsRelay::relay() {
  client_full_ = false;  // each part that finds it so says it again
  if (!up_.empty()) {
    pass_on(std::exchange(up_, {}));
  }
  if (!down_.empty()) {
    send_back(std::exchange(down_, {}));
  }
  if (phase_ == Phase::ended) {
    return false;
  }
  bool progress = up_.empty() && read_client();
  progress |= down_.empty() && read_plain();
  if (client_ended_ && !told_ended_ && up_.empty()) {
    shutdown(ours_.get(), SHUT_WR);
    told_ended_ = true;
  }
  if (plain_ended_ && down_.empty() && phase_ == Phase::relaying) {
    finish();
    progress = true;
  }
  return progress && phase_ != Phase::ended;
}

// While it waits to be given to the workers a client that leaves is of interest, and nothing else.
std::uint32_t TlsRelay::client_events() const {
  const std::uint32_t out = client_full_ ? static_cast<std::uint32_t>(EPOLLOUT) : 0;
  switch (phase_) {
    case Phase::handshaking:
      return client_full_ ? out : static_cast<std::uint32_t>(EPOLLIN);
    case Phase::unserved:
      return EPOLLRDHUP;
    case Phase::relaying:
      return out | (up_.empty() && !client_ended_ ? static_cast<std::uint32_t>(EPOLLIN) : 0);
    case Phase::silent:
    case Phase::lingering:
      return EPOLLIN;
    case Phase::ended:
      break;
  }
  return 0;
}

std::uint32_t TlsRelay::plain_events() const {
  if (phase_ != Phase::relaying) {
    return 0;
  }
  return (down_.empty() && !plain_ended_ ? static_cast<std::uint32_t>(EPOLLIN) : 0) |
         (up_.empty() ? 0 : static_cast<std::uint32_t>(EPOLLOUT));
}

// OpenSSL calls all that is no TLS the same. False when nothing has come, or it has failed.
bool TlsRelay::check_first() {
  std::array<char, wire::kHeaderSize> first{};
  const ssize_t size = recv(client_.get(), first.data(), first.size(), MSG_PEEK);
  if (size < 0 && would_block(errno)) {
    return false;
  }
  if (size <= 0) {  // connected and left, as health checks do
    end();
    return false;
  }
  heard_ = true;
  if (first[0] != kHandshakeRecord) {
    const std::string_view foreign =
        size == static_cast<ssize_t>(first.size()) ? wire::recognise_foreign(first) : "";
    fail(fmt::format("{}; this socket speaks TLS, as tls-cert is set for TCP",
                     foreign.empty() ? "this is no TLS" : foreign));
    return false;
  }
  return true;
}

bool TlsRelay::shake_hands() {
  if (!heard_ && !check_first()) {
    return false;
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  const int system_error = errno;
  if (result == 1) {
    know_client();
    return phase_ != Phase::ended;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  client_full_ = error == SSL_ERROR_WANT_WRITE;
  if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) {
    errno = system_error;
    fail("the TLS handshake failed: " + handshake_error(error));
  }
  return false;
}

std::string TlsRelay::handshake_error(int error) const {
  if (error == SSL_ERROR_SYSCALL && errno != 0) {
    return text_of(errno);
  }
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  if (code == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return "the peer closed the connection in the middle";
  }
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return "the client gave no certificate, and tls-client-ca asks for one";
  }
  if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
    return fmt::format("the client's certificate is refused: {}",
                       X509_verify_cert_error_string(verified));
  }
  const char* text = ERR_reason_error_string(code);
  return text != nullptr ? text : "unknown error";
}

void TlsRelay::know_client() {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      SSL_get1_peer_certificate(ssl_.get()), X509_free);
  if (certificate) {
    subject_ = subject_of(certificate.get());
    if (subject_.empty() || subject_.size() > TlsPeer::kMostSubject) {
      // Cut, it could be somebody else's.
      return fail(
          fmt::format("the subject of the client's certificate has {} bytes, and may have "
                      "1 to {}",
                      subject_.size(), TlsPeer::kMostSubject));
    }
  }
  // Who just closes can still be answered; whoever reads the request sees whether it is whole.
  SSL_set_options(ssl_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  client_full_ = false;
  client_in_ = true;
  phase_ = Phase::silent;
  deadline_ = Clock::now() + patience_;
}

bool TlsRelay::read_client() {
  if (!client_in_ || client_ended_) {
    return false;
  }
  std::array<char, kRecord>& bytes = scratch();
  ERR_clear_error();
  const int size = SSL_read(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  if (size <= 0) {
    client_in_ = false;
    hear_nothing(SSL_get_error(ssl_.get(), size));
    return false;
  }
  client_in_ = SSL_has_pending(ssl_.get()) == 1;  // epoll tells of the rest
  const std::span<const char> got(bytes.data(), static_cast<std::size_t>(size));
  if (phase_ == Phase::silent) {
    begin_request(got);
  } else {
    pass_on(got);
  }
  return true;
}

void TlsRelay::hear_nothing(int error) {
  if (error == SSL_ERROR_WANT_WRITE) {
    client_full_ = true;
  } else if (error == SSL_ERROR_ZERO_RETURN && phase_ == Phase::relaying) {
    client_ended_ = true;
  } else if (error != SSL_ERROR_WANT_READ) {
    end();  // whoever has the request says what is missing of it
  }
}

void TlsRelay::begin_request(std::span<const char> bytes) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
    return fail("no descriptors are left for a connection: " + text_of(errno));
  }
  ours_ = Descriptor(ends[0]);
  theirs_ = Descriptor(ends[1]);
  up_.assign(bytes.data(), bytes.size());
  phase_ = Phase::unserved;
  deadline_.reset();  // as in a listen queue it waits as long as the client does
}

void TlsRelay::handed_over() {
  theirs_.reset();
  phase_ = Phase::relaying;
}

// To the workers' side. What that does not take now is kept in up_.
void TlsRelay::pass_on(std::span<const char> bytes) {
  const ssize_t size = send(ours_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (size < 0 && !would_block(errno)) {
    client_ended_ = told_ended_ =
        true;  // nobody reads it any more; what is answered still goes out
    plain_in_ = true;
    return;
  }
  bytes = bytes.subspan(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  up_.assign(bytes.data(), bytes.size());
}

// From the workers' side.
bool TlsRelay::read_plain() {
  if (!plain_in_ || plain_ended_) {
    return false;
  }
  std::array<char, kRecord>& bytes = scratch();
  const ssize_t size = recv(ours_.get(), bytes.data(), bytes.size(), 0);
  plain_in_ = size == static_cast<ssize_t>(bytes.size());
  if (size < 0 && would_block(errno)) {
    return false;
  }
  if (size <= 0) {  // also when the worker was killed with something unread
    plain_ended_ = true;
    return true;
  }
  send_back({bytes.data(), static_cast<std::size_t>(size)});
  return true;
}

// To the client. What that does not take now is kept in down_.
void TlsRelay::send_back(std::span<const char> bytes) {
  while (!bytes.empty()) {
    ERR_clear_error();
    const int size = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (size > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(size));
      deadline_.reset();
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), size);
    if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) {
      return end();
    }
    client_full_ = true;
    deadline_ = deadline_.value_or(Clock::now() + patience_);
    down_.assign(bytes.data(), bytes.size());
    return;
  }
}

// The workers have said all, and the client has got it.
void TlsRelay::finish() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  shutdown(client_.get(), SHUT_WR);
  ours_.reset();
  up_.clear();
  phase_ = Phase::lingering;
  linger_until_ = Clock::now() + patience_;
  deadline_ = std::min(linger_until_, Clock::now() + kSilence);
}

// A client that is still sending looks for the answer when it has sent some more. What comes is of
// no interest, so it need not be understood.
bool TlsRelay::linger() {
  std::array<char, kRecord>& bytes = scratch();
  const ssize_t size = recv(client_.get(), bytes.data(), bytes.size(), 0);
  if (size == 0 || (size < 0 && !would_block(errno))) {
    end();
  } else if (size > 0) {
    deadline_ = std::min(linger_until_, Clock::now() + kSilence);
  }
  return size > 0;
}

void TlsRelay::on_deadline(Clock::time_point now) {
  if (!deadline_ || now < *deadline_) {
    return;
  }
  deadline_.reset();
  if (phase_ == Phase::handshaking && heard_) {
    return fail(fmt::format("the TLS handshake did not end within socket-timeout ({} ms)",
                            patience_.count()));
  }
  end();
}

void TlsRelay::fail(std::string why) {
  phase_ = Phase::ended;
  failure_ = std::move(why);
}

}  // namespace forktail::server
