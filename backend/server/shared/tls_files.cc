#include "server/shared/tls_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "server/os/fork_error.h"

namespace forktail::server {

namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

constexpr std::size_t kTicketKeys = 80;  // SSL_CTX_set_tlsext_ticket_keys(3): a name and two keys

struct TlsFile {
  std::string path;
  std::string text;  // PEM
};

// As it stands in the memory file.
struct TlsMaterial {
  TlsFile cert;
  TlsFile key;
  TlsFile client_ca;  // empty: clients need no certificate
  std::vector<unsigned char> ticket_keys;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TlsFile, path, text)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TlsMaterial, cert, key, client_ca, ticket_keys)

[[noreturn]] void refuse_tls(const char* option, std::string_view why) {
  throw std::runtime_error(fmt::format("{}: {}", option, why));
}

std::string tls_text() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "unknown error";
}

Bio pem_reader(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free};
}

// An encrypted key would have OpenSSL ask on the terminal.
int no_password(char*, int, int, void*) { return 0; }

Certificate next_certificate(const Bio& bio) {
  return {PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), X509_free};
}

// The first is the server's own, the others lead to a CA that the client knows.
void use_certificate(SSL_CTX* context, const TlsFile& file) {
  const Bio bio = pem_reader(file.text);
  Certificate certificate = next_certificate(bio);
  if (!certificate || SSL_CTX_use_certificate(context, certificate.get()) != 1) {
    refuse_tls("tls-cert", "is no certificate in PEM: " + tls_text());
  }
  while ((certificate = next_certificate(bio))) {
    SSL_CTX_add1_chain_cert(context, certificate.get());
  }
  ERR_clear_error();
}

void use_key(SSL_CTX* context, const TlsFile& file) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(pem_reader(file.text).get(), nullptr, no_password, nullptr),
      EVP_PKEY_free);
  if (!key) {
    refuse_tls("tls-key", "is no private key in PEM, without a password: " + tls_text());
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    refuse_tls("tls-key", "is not the key of the certificate in tls-cert: " + tls_text());
  }
}

void use_client_ca(SSL_CTX* context, const TlsFile& file) {
  if (file.text.empty()) {
    return;
  }
  const Bio bio = pem_reader(file.text);
  int count = 0;
  for (Certificate ca = next_certificate(bio); ca; ca = next_certificate(bio)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get());
    SSL_CTX_add_client_CA(context, ca.get());
    ++count;
  }
  if (count == 0) {
    refuse_tls("tls-client-ca", "has no certificate in PEM: " + tls_text());
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

TlsContext make_context(TlsMaterial material) {
  TlsContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) {
    refuse_tls("tls-cert", tls_text());
  }
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  use_certificate(context.get(), material.cert);
  use_key(context.get(), material.key);
  use_client_ca(context.get(), material.client_ca);
  static constexpr unsigned char kName[] = "forktail";
  SSL_CTX_set_session_id_context(context.get(), kName, sizeof(kName) - 1);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);  // tickets need none
  SSL_CTX_set_tlsext_ticket_keys(context.get(), material.ticket_keys.data(),
                                 static_cast<long>(material.ticket_keys.size()));
  return context;
}

std::string read_report(int descriptor) {
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const ssize_t size = read(descriptor, part.data(), part.size());
    if (size > 0) {
      text.append(part.data(), static_cast<std::size_t>(size));
    } else if (size == 0 || errno != EINTR) {
      return text;
    }
  }
}

// Its offset is shared with whoever else reads it.
TlsMaterial read_material(const TlsFiles& files) {
  const off_t size = lseek(files.descriptor(), 0, SEEK_END);
  std::string text(static_cast<std::size_t>(std::max<off_t>(size, 0)), '\0');
  if (size <= 0 || pread(files.descriptor(), text.data(), text.size(), 0) != size) {
    refuse_tls("tls-cert", "what was read of the files is lost; reload the server");
  }
  TlsMaterial material = nlohmann::json::parse(text).get<TlsMaterial>();
  OPENSSL_cleanse(text.data(), text.size());
  return material;
}

// What the process that reads has to say.
struct TlsReport {
  std::string why;                // the files can not be used; empty: they can
  std::vector<std::string> kept;  // the options whose files could not be read again
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TlsReport, why, kept)

// What was read of a file the last time goes on being used when this user may not read it again, as
// root did.
struct TlsReader {
  TlsMaterial before;
  TlsReport report = {};

  TlsFile contents(const char* option, const std::string& path, TlsFile TlsMaterial::*member) {
    std::ifstream file(path, std::ios::binary);
    if (!file && errno == EACCES && (before.*member).path == path) {
      report.kept.emplace_back(option);
      return before.*member;
    }
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file || text.empty()) {
      refuse_tls(option, fmt::format("{} can not be read as the user that this process is: {}",
                                     path, std::generic_category().message(errno)));
    }
    return {path, std::move(text)};
  }
};

TlsMaterial read_files(const Options& options, TlsReader& files) {
  TlsMaterial material;
  material.cert = files.contents("tls-cert", options.tls_cert, &TlsMaterial::cert);
  material.key = files.contents("tls-key", options.tls_key, &TlsMaterial::key);
  if (!options.tls_client_ca.empty()) {
    material.client_ca =
        files.contents("tls-client-ca", options.tls_client_ca, &TlsMaterial::client_ca);
  }
  material.ticket_keys.resize(kTicketKeys);
  if (RAND_bytes(material.ticket_keys.data(), static_cast<int>(kTicketKeys)) != 1) {
    refuse_tls("tls-cert", "no random bits for session tickets: " + tls_text());
  }
  return material;
}

// In a child, which has nothing else to do.
TlsReport read_and_check(const Options& options, const TlsFiles* before, int memory) {
  TlsReader files;
  try {
    if (before != nullptr) {
      files.before = read_material(*before);
    }
    const TlsMaterial material = read_files(options, files);
    make_context(material);
    const std::string text = nlohmann::json(material).dump();
    if (pwrite(memory, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      refuse_tls("tls-key", "no memory to keep it in: " + std::generic_category().message(errno));
    }
  } catch (const std::exception& error) {
    files.report.why = error.what();
  }
  return files.report;
}

// Runs that. Throws std::runtime_error when it can not.
TlsReport read_in_child(const Options& options, const TlsFiles* before, int memory) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) {
    refuse_tls("tls-cert", "can not be read: " + std::generic_category().message(errno));
  }
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) {
    refuse_tls("tls-cert", "no process to read it in: " + fork_error(errno));
  }
  if (child == 0) {
    const std::string text = nlohmann::json(read_and_check(options, before, memory))
                                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    _exit(write(writing.get(), text.data(), text.size()) < 0 ? 1 : 0);
  }
  writing.reset();
  const std::string text = read_report(reading.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (text.empty()) {
    refuse_tls("tls-cert", "the process that read it ended without a word");
  }
  return nlohmann::json::parse(text).get<TlsReport>();
}

}  // namespace

std::shared_ptr<const TlsFiles> load_tls(const Options& options, const TlsFiles* before,
                                         log::Sink* sink) {
  if (options.tls_cert.empty()) {
    return nullptr;
  }
  Descriptor memory(memfd_create("forktail-tls", MFD_CLOEXEC));
  if (!memory) {
    refuse_tls("tls-cert", "no memory to keep it in: " + std::generic_category().message(errno));
  }
  const TlsReport report = read_in_child(options, before, memory.get());
  if (!report.why.empty()) {
    throw std::runtime_error(report.why);
  }
  for (const std::string& option : report.kept) {
    const std::string& path = option == "tls-cert"  ? options.tls_cert
                              : option == "tls-key" ? options.tls_key
                                                    : options.tls_client_ca;
    if (sink != nullptr) {
      sink->write(log::EventKind::certificate_kept, {},
                  fmt::format("{} = {}: this user can not read it; what it held before stays in "
                              "use",
                              option, path),
                  {{"option", option}, {"path", path}});
    }
  }
  return std::make_shared<TlsFiles>(std::move(memory));
}

TlsContext make_tls_context(const TlsFiles& files) { return make_context(read_material(files)); }

}  // namespace forktail::server
