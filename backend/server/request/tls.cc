#include "server/request/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace forktail::server {

namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

constexpr std::size_t kTicketKeys = 80;  // SSL_CTX_set_tlsext_ticket_keys(3): a name and two keys

[[noreturn]] void refuse(const char* option, std::string_view why) {
  throw std::runtime_error(fmt::format("{}: {}", option, why));
}

std::string openssl_text() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "unknown error";
}

Bio reader(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free};
}

// An encrypted key would have OpenSSL ask on the terminal.
int no_password(char*, int, int, void*) { return 0; }

Certificate next_certificate(const Bio& bio) {
  return {PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), X509_free};
}

// What was read of a file the last time goes on being used when this user may not read it again, as
// root did.
struct Before {
  const TlsMaterial* material;
  log::Sink* sink;
};

TlsFile contents(const char* option, const std::string& path, TlsFile TlsMaterial::*member,
                 const Before& before) {
  std::ifstream file(path, std::ios::binary);
  if (!file && errno == EACCES && before.material != nullptr &&
      (before.material->*member).path == path) {
    if (before.sink != nullptr) {
      before.sink->write(log::EventKind::certificate_kept, {},
                         fmt::format("{} = {}: this user can not read it; what it held before "
                                     "stays in use",
                                     option, path),
                         {{"option", std::string_view(option)}, {"path", path}});
    }
    return before.material->*member;
  }
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file || text.empty()) {
    refuse(option, fmt::format("{} can not be read as the user that this process is: {}", path,
                               std::generic_category().message(errno)));
  }
  return {path, std::move(text)};
}

std::vector<unsigned char> random_keys() {
  std::vector<unsigned char> keys(kTicketKeys);
  if (RAND_bytes(keys.data(), static_cast<int>(keys.size())) != 1) {
    refuse("tls-cert", "no random bits for session tickets: " + openssl_text());
  }
  return keys;
}

}  // namespace

TlsContext::TlsContext(TlsMaterial material)
    : material_(std::move(material)), context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  if (!context_) {
    refuse("tls-cert", openssl_text());
  }
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context_.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context_.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  use_certificate();
  use_key();
  use_client_ca();
  static constexpr unsigned char kName[] = "forktail";
  SSL_CTX_set_session_id_context(context_.get(), kName, sizeof(kName) - 1);
  SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);  // tickets need none
  SSL_CTX_set_tlsext_ticket_keys(context_.get(), material_.ticket_keys.data(),
                                 static_cast<long>(material_.ticket_keys.size()));
}

// The first is the server's own, the others lead to a CA that the client knows.
void TlsContext::use_certificate() {
  const Bio bio = reader(material_.cert.text);
  Certificate certificate = next_certificate(bio);
  if (!certificate || SSL_CTX_use_certificate(context_.get(), certificate.get()) != 1) {
    refuse("tls-cert", "is no certificate in PEM: " + openssl_text());
  }
  while ((certificate = next_certificate(bio))) {
    SSL_CTX_add1_chain_cert(context_.get(), certificate.get());
  }
  ERR_clear_error();
}

void TlsContext::use_key() {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(reader(material_.key.text).get(), nullptr, no_password, nullptr),
      EVP_PKEY_free);
  if (!key) {
    refuse("tls-key", "is no private key in PEM, without a password: " + openssl_text());
  }
  if (SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1 ||
      SSL_CTX_check_private_key(context_.get()) != 1) {
    refuse("tls-key", "is not the key of the certificate in tls-cert: " + openssl_text());
  }
}

void TlsContext::use_client_ca() {
  if (material_.client_ca.text.empty()) {
    return;
  }
  const Bio bio = reader(material_.client_ca.text);
  int count = 0;
  for (Certificate ca = next_certificate(bio); ca; ca = next_certificate(bio)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), ca.get());
    SSL_CTX_add_client_CA(context_.get(), ca.get());
    ++count;
  }
  if (count == 0) {
    refuse("tls-client-ca", "has no certificate in PEM: " + openssl_text());
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

std::shared_ptr<const TlsContext> load_tls(const Options& options, const TlsMaterial* material,
                                           log::Sink* sink) {
  if (options.tls_cert.empty()) {
    return nullptr;
  }
  const Before before{material, sink};
  TlsMaterial now;
  now.cert = contents("tls-cert", options.tls_cert, &TlsMaterial::cert, before);
  now.key = contents("tls-key", options.tls_key, &TlsMaterial::key, before);
  if (!options.tls_client_ca.empty()) {
    now.client_ca =
        contents("tls-client-ca", options.tls_client_ca, &TlsMaterial::client_ca, before);
  }
  now.ticket_keys = random_keys();
  return std::make_shared<TlsContext>(std::move(now));
}

bool speaks_tls(const Options& options, int descriptor) {
  int domain = AF_UNIX;
  socklen_t size = sizeof(domain);
  return options.tls != nullptr &&
         getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain != AF_UNIX;
}

TlsSession::TlsSession(const TlsContext& context, int descriptor)
    : ssl_(SSL_new(context.get()), SSL_free) {
  if (ssl_) {
    SSL_set_fd(ssl_.get(), descriptor);
    SSL_set_accept_state(ssl_.get());
  }
}

ssize_t TlsSession::handshake() {
  if (!ssl_) {
    error_ = "no memory";
    errno = EPROTO;
    return -1;
  }
  ERR_clear_error();
  return result(SSL_do_handshake(ssl_.get()));
}

ssize_t TlsSession::read(void* bytes, std::size_t size) {
  ERR_clear_error();
  return result(SSL_read(ssl_.get(), bytes, static_cast<int>(size)));
}

ssize_t TlsSession::write(const void* bytes, std::size_t size) {
  ERR_clear_error();
  return result(SSL_write(ssl_.get(), bytes, static_cast<int>(size)));
}

void TlsSession::finish() {
  if (ssl_ && !broken_ && SSL_is_init_finished(ssl_.get()) == 1) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    broken_ = true;
  }
}

ssize_t TlsSession::result(int returned) {
  if (returned > 0) {
    return returned;
  }
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      wanted_ = POLLIN;
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_WANT_WRITE:
      wanted_ = POLLOUT;
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      errno = system_error != 0 ? system_error : ECONNRESET;
      return -1;
    default:
      broken_ = true;
      error_ = why();
      errno = EPROTO;
      return -1;
  }
}

std::string TlsSession::why() const {
  const int reason = ERR_GET_REASON(ERR_peek_error());
  if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return "the peer closed the connection in the middle";
  }
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    return "the client gave no certificate, and tls-client-ca asks for one";
  }
  if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
    return fmt::format("the client's certificate is refused: {}",
                       X509_verify_cert_error_string(verified));
  }
  return openssl_text();
}

}  // namespace forktail::server
