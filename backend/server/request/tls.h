// TLS on TCP sockets, with the client's certificate checked where a CA is given.
//
// TlsContext is made by the master, before it drops privileges and at each reload, and inherited by
// the generation's processes; TlsSession belongs to the one thread that serves the connection. A
// session's state lives in one process, so a connection with TLS is never passed to another worker:
// it is served and closed. Its successor resumes the session, by a ticket that all workers can
// read.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/shared/options.h"

namespace forktail::server {

struct TlsFile {
  std::string path;
  std::string text;  // PEM
};

// What the files held, for processes that may no longer read them: a worker that is exec'ed, a
// reload, and the next master.
struct TlsMaterial {
  TlsFile cert;
  TlsFile key;
  TlsFile client_ca;                       // empty: clients need no certificate
  std::vector<unsigned char> ticket_keys;  // of this generation, so that any worker resumes
};

class TlsContext {
 public:
  // Throws std::runtime_error, naming the option, what is wrong and the cure.
  explicit TlsContext(TlsMaterial material);

  [[nodiscard]] const TlsMaterial& material() const { return material_; }
  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }

 private:
  void use_certificate();
  void use_key();
  void use_client_ca();

  TlsMaterial material_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

// From the files that the options name; null when they name none. Of a file that this user may not
// read it takes what it was `before`, if it is the same one, and says so in the log. Throws as
// above.
std::shared_ptr<const TlsContext> load_tls(const Options& options,
                                           const TlsMaterial* before = nullptr,
                                           log::Sink* sink = nullptr);

// Whether connections on this socket begin with a handshake: all of TCP, when there is a context.
bool speaks_tls(const Options& options, int descriptor);

class TlsSession {
 public:
  TlsSession(const TlsContext& context, int descriptor);

  // As recv(2) and send(2) on a non-blocking socket: EAGAIN means to wait for wanted(), EPROTO that
  // error() says what is wrong. handshake() returns 1 when it is over.
  ssize_t handshake();
  ssize_t read(void* bytes, std::size_t size);
  ssize_t write(const void* bytes, std::size_t size);
  // Tells the peer, as far as it takes that, that what it has got is all.
  void finish();

  [[nodiscard]] short wanted() const { return wanted_; }  // poll(2)'s events
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  ssize_t result(int returned);
  [[nodiscard]] std::string why() const;

  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  short wanted_ = 0;
  bool broken_ = false;
  std::string error_;
};

}  // namespace forktail::server
