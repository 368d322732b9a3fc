// What the files of tls-cert, tls-key and tls-client-ca hold, for the processes that speak TLS.
//
// The private key is in the memory of those alone (child/tls_process.h). A child of the master's
// reads and checks the files, before privileges are dropped and at each reload, and leaves their
// contents in a memory file, from which a TLS process can be started at any time. The master holds
// that file and never reads it, and no process that runs an application's code inherits it.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "server/os/descriptor.h"
#include "server/shared/options.h"

namespace forktail::server {

class TlsFiles {
 public:
  // Takes over a memory file that load_tls() has written, of a predecessor's too.
  explicit TlsFiles(Descriptor memory) : memory_(std::move(memory)) {}
  [[nodiscard]] int descriptor() const { return memory_.get(); }

 private:
  Descriptor memory_;
};

// From the files that the options name; null when they name none. Of a file that this user may not
// read it takes what it was `before`, if it is the same one, and says so in the log. Throws
// std::runtime_error, naming the option, what is wrong and the cure.
std::shared_ptr<const TlsFiles> load_tls(const Options& options, const TlsFiles* before = nullptr,
                                         log::Sink* sink = nullptr);

using TlsContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

// In a TLS process: what it serves with. Any of those that use the same files resumes a session.
// Throws as above.
TlsContext make_tls_context(const TlsFiles& files);

}  // namespace forktail::server
