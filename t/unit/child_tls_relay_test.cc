#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/epoll.h>

#include <array>
#include <memory>
#include <string>

#include "server/child/tls_relay.h"
#include "server_support.h"

namespace forktail::server {
namespace {

using Phase = TlsRelay::Phase;

// Signed by itself.
struct SelfSigned {
  explicit SelfSigned(const char* name) : key(EVP_EC_gen("P-256")), certificate(X509_new()) {
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* subject = X509_get_subject_name(certificate);
    for (const auto& [field, value] : {std::pair{"O", "Forktail, Inc"}, std::pair{"CN", name}}) {
      X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(value), -1, -1, 0);
    }
    X509_set_issuer_name(certificate, subject);
    X509_sign(certificate, key, EVP_sha256());
  }
  ~SelfSigned() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  SelfSigned(const SelfSigned&) = delete;
  SelfSigned& operator=(const SelfSigned&) = delete;

  void use_in(SSL_CTX* context) const {
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
  }

  EVP_PKEY* key;
  X509* certificate;
};

class TlsRelayTest : public ::testing::Test {
 protected:
  using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

  TlsRelayTest()
      : server_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free),
        clients_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    SelfSigned("server").use_in(server_.get());
    SSL_CTX_set_mode(server_.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(server_.get(), 1);
    SSL_CTX_set_mode(clients_.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    signal(SIGPIPE, SIG_IGN);  // as the server does
  }

  void ask_for_certificate(const SelfSigned& client) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(server_.get()), client.certificate);
    SSL_CTX_set_verify(server_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }

  void connect(std::chrono::milliseconds patience = 10s) {
    relay_ = std::make_unique<TlsRelay>(server_.get(), std::move(pair_.theirs), patience);
    client_.reset(SSL_new(clients_.get()));
    SSL_set_fd(client_.get(), pair_.ours.get());
    SSL_set_connect_state(client_.get());
  }

  // What an event loop would do, until nothing is left to do.
  void settle() const {
    for (int quiet = 0; quiet < 2; ++quiet) {
      quiet = turn(relay_->client(), relay_->client_events(), &TlsRelay::on_client) ? 0 : quiet;
      quiet = turn(relay_->plain(), relay_->plain_events(), &TlsRelay::on_plain) ? 0 : quiet;
      while (relay_->go_on()) {
        quiet = 0;
      }
    }
  }

  bool turn(int descriptor, std::uint32_t wanted, void (TlsRelay::*tell)(std::uint32_t)) const {
    if (descriptor < 0 || wanted == 0) {
      return false;
    }
    // poll(2) and epoll(7) have the same bits.
    pollfd watched{descriptor, static_cast<short>(wanted), 0};
    if (poll(&watched, 1, 0) <= 0) {
      return false;
    }
    (relay_.get()->*tell)(static_cast<std::uint32_t>(watched.revents));
    return true;
  }

  bool shake_hands() {
    for (int i = 0; i < 20; ++i) {
      settle();
      ERR_clear_error();
      if (SSL_do_handshake(client_.get()) == 1 && relay_->phase() != Phase::handshaking) {
        return true;
      }
    }
    return false;
  }

  // Up to a request's first bytes, which the workers have.
  void begin_request(const std::string& bytes = "hello") {
    connect();
    ASSERT_TRUE(shake_hands());
    ASSERT_EQ(write(bytes), static_cast<int>(bytes.size()));
    settle();
    ASSERT_EQ(relay_->phase(), Phase::unserved);
    worker_ = Descriptor(dup(relay_->for_workers()));
    relay_->handed_over();
    settle();
  }

  int write(const std::string& bytes) {
    ERR_clear_error();
    return SSL_write(client_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }

  // What the client can read now.
  std::string read() {
    std::string all;
    std::array<char, 20000> part;
    ERR_clear_error();
    for (int size = 0; (size = SSL_read(client_.get(), part.data(), part.size())) > 0;) {
      all.append(part.data(), static_cast<std::size_t>(size));
    }
    return all;
  }

  // What a worker can.
  std::string worker_reads() const {
    std::string all;
    std::array<char, 20000> part;
    for (ssize_t size = 0; (size = recv(worker_.get(), part.data(), part.size(), 0)) > 0;) {
      all.append(part.data(), static_cast<std::size_t>(size));
    }
    return all;
  }

  Context server_;
  Context clients_;
  SocketPair pair_{SOCK_STREAM, SOCK_CLOEXEC | SOCK_NONBLOCK};
  std::unique_ptr<TlsRelay> relay_;
  std::unique_ptr<SSL, decltype(&SSL_free)> client_{nullptr, SSL_free};
  Descriptor worker_;
};

TEST_F(TlsRelayTest, WhatTheClientSendsReachesTheWorkersAsPlainBytes) {
  begin_request("one");
  EXPECT_EQ(worker_reads(), "one");
  write("two");
  settle();
  EXPECT_EQ(worker_reads(), "two");
}

TEST_F(TlsRelayTest, WhatTheWorkersAnswerReachesTheClient) {
  begin_request();
  send_text(worker_.get(), "an answer");
  settle();
  EXPECT_EQ(read(), "an answer");
  EXPECT_EQ(relay_->phase(), Phase::relaying);
}

TEST_F(TlsRelayTest, NoWorkerHearsOfAClientThatHasSentNothing) {
  connect();
  ASSERT_TRUE(shake_hands());
  settle();
  EXPECT_EQ(relay_->phase(), Phase::silent);
  EXPECT_EQ(relay_->for_workers(), -1);
  relay_->on_deadline(TlsRelay::Clock::now() + 11s);
  EXPECT_EQ(relay_->phase(), Phase::ended);
  EXPECT_EQ(relay_->failure(), "");
}

TEST_F(TlsRelayTest, BytesThatAreNoTlsAreNamed) {
  connect();
  send_text(pair_.ours.get(), "GET / HTTP/1.1\r\n");
  settle();
  EXPECT_EQ(relay_->phase(), Phase::ended);
  EXPECT_THAT(relay_->failure(),
              ::testing::HasSubstr("this is HTTP, not uwsgi; this socket speaks TLS"));
}

TEST_F(TlsRelayTest, AHandshakeThatStallsEndsAndSaysSo) {
  connect(300ms);
  send_text(pair_.ours.get(), "\x16\x03\x01");
  settle();
  relay_->on_deadline(TlsRelay::Clock::now());
  EXPECT_EQ(relay_->phase(), Phase::handshaking);
  relay_->on_deadline(TlsRelay::Clock::now() + 301ms);
  EXPECT_EQ(relay_->phase(), Phase::ended);
  EXPECT_EQ(relay_->failure(), "the TLS handshake did not end within socket-timeout (300 ms)");
}

TEST_F(TlsRelayTest, AClientThatLeavesInTheMiddleOfTheHandshakeIsNamedAndOneThatSaidNothingIsNot) {
  connect();
  send_text(pair_.ours.get(), "\x16\x03\x01");
  pair_.ours.reset();
  settle();
  EXPECT_EQ(relay_->failure(),
            "the TLS handshake failed: the peer closed the connection in the middle");

  SocketPair other(SOCK_STREAM, SOCK_CLOEXEC | SOCK_NONBLOCK);
  TlsRelay silent(server_.get(), std::move(other.theirs), 10s);
  other.ours.reset();
  silent.on_client(EPOLLIN);
  silent.go_on();
  EXPECT_EQ(silent.phase(), Phase::ended);
  EXPECT_EQ(silent.failure(), "");
}

TEST_F(TlsRelayTest, KnowsTheSubjectOfTheClientsCertificate) {
  const SelfSigned client("shop \xc3\xa4");
  client.use_in(clients_.get());
  ask_for_certificate(client);
  connect();
  ASSERT_TRUE(shake_hands());
  EXPECT_EQ(relay_->subject(), "CN=shop \xc3\xa4,O=Forktail\\, Inc");
}

TEST_F(TlsRelayTest, AClientWithoutTheCertificateThatIsAskedForIsRefused) {
  ask_for_certificate(SelfSigned("another"));
  connect();
  shake_hands();
  EXPECT_EQ(relay_->phase(), Phase::ended);
  EXPECT_EQ(relay_->failure(),
            "the TLS handshake failed: the client gave no certificate, and tls-client-ca asks for "
            "one");
}

TEST_F(TlsRelayTest, AWorkerThatDoesNotReadSlowsTheClientAndNothingIsLost) {
  begin_request("u");
  std::string sent = "u";
  const std::string part(16000, 'u');
  for (int i = 0; i < 1000; ++i) {
    const int size = write(part);
    settle();
    if (size <= 0) {
      break;
    }
    sent += part;
  }
  EXPECT_LT(sent.size(), 8U << 20);
  EXPECT_EQ(relay_->client_events() & EPOLLIN, 0U);
  EXPECT_NE(relay_->plain_events() & EPOLLOUT, 0U);

  std::string got;
  for (int i = 0; i < 1000 && got.size() < sent.size(); ++i) {
    got += worker_reads();
    settle();
  }
  EXPECT_EQ(got.size(), sent.size());
}

TEST_F(TlsRelayTest, AClientThatDoesNotReadSlowsTheWorkersUntilItsTimeIsOver) {
  begin_request();
  std::size_t sent = 0;
  const std::string part(100'000, 'd');
  for (int i = 0; i < 1000; ++i) {
    const ssize_t size = send(worker_.get(), part.data(), part.size(), MSG_NOSIGNAL);
    settle();
    if (size <= 0) {
      break;
    }
    sent += static_cast<std::size_t>(size);
  }
  EXPECT_LT(sent, 8U << 20);
  EXPECT_EQ(relay_->plain_events(), 0U);
  ASSERT_TRUE(relay_->deadline());

  std::size_t got = 0;
  for (int i = 0; i < 1000 && got < sent; ++i) {
    got += read().size();
    settle();
  }
  EXPECT_EQ(got, sent);
  EXPECT_FALSE(relay_->deadline());
  relay_->on_deadline(TlsRelay::Clock::now() + 1h);
  EXPECT_EQ(relay_->phase(), Phase::relaying);
}

TEST_F(TlsRelayTest, ItsPatienceWithAClientThatTakesNothingHasAnEnd) {
  begin_request();
  const std::string part(100'000, 'd');
  while (!relay_->deadline()) {
    ASSERT_GT(send(worker_.get(), part.data(), part.size(), MSG_NOSIGNAL), 0);
    settle();
  }
  relay_->on_deadline(TlsRelay::Clock::now() + 11s);
  EXPECT_EQ(relay_->phase(), Phase::ended);
}

TEST_F(TlsRelayTest, TheWorkersEndReachesTheClientBehindTheAnswerAndInGoodOrder) {
  begin_request();
  send_text(worker_.get(), "all of it");
  worker_.reset();
  settle();
  EXPECT_EQ(read(), "all of it");
  EXPECT_EQ(SSL_get_shutdown(client_.get()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  EXPECT_EQ(relay_->phase(), Phase::lingering);
  pair_.ours.reset();
  settle();
  EXPECT_EQ(relay_->phase(), Phase::ended);
}

TEST_F(TlsRelayTest, AClientThatHasSentAllIsStillAnswered) {
  begin_request("a request");
  SSL_shutdown(client_.get());
  shutdown(pair_.ours.get(), SHUT_WR);
  settle();
  EXPECT_EQ(worker_reads(), "a request");
  char byte = 0;
  EXPECT_EQ(recv(worker_.get(), &byte, 1, 0), 0) << "the worker knows that nothing more comes";
  send_text(worker_.get(), "an answer");
  worker_.reset();
  settle();
  EXPECT_EQ(read(), "an answer");
  EXPECT_EQ(relay_->phase(), Phase::ended);
}

TEST_F(TlsRelayTest, AClientThatJustClosesIsTheEndOfWhatItSent) {
  begin_request("a request");
  read();  // session tickets: what is left unread would have the kernel reset the connection
  pair_.ours.reset();
  settle();
  EXPECT_EQ(worker_reads(), "a request");
  char byte = 0;
  EXPECT_EQ(recv(worker_.get(), &byte, 1, 0), 0);
}

TEST_F(TlsRelayTest, AClientThatLeavesBeforeAWorkerHasItsRequestIsForgotten) {
  connect();
  ASSERT_TRUE(shake_hands());
  write("a request");
  settle();
  ASSERT_EQ(relay_->phase(), Phase::unserved);
  settle();
  ASSERT_EQ(relay_->phase(), Phase::unserved);
  pair_.ours.reset();
  settle();
  EXPECT_EQ(relay_->phase(), Phase::ended);
}

TEST_F(TlsRelayTest, GarbageInTheMiddleEndsBothSides) {
  begin_request();
  ASSERT_EQ(worker_reads(), "hello");
  send_text(pair_.ours.get(), "this is no record at all, nor the end of one");
  settle();
  EXPECT_EQ(relay_->phase(), Phase::ended);
  relay_.reset();
  char byte = 0;
  EXPECT_LE(recv(worker_.get(), &byte, 1, 0), 0);
  EXPECT_NE(errno, EAGAIN);
}

}  // namespace
}  // namespace forktail::server
