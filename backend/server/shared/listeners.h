// The listening sockets: bound by the master before anything else, or handed over to it, inherited
// by all, never closed by a worker.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "log/sink.h"
#include "server/os/descriptor.h"
#include "server/os/file_id.h"
#include "server/shared/options.h"
#include "wire/address.h"

namespace forktail::server {

// A listening socket, and its file if it has one and is this process's own: then the file goes with
// it, unless another server has put its own in that place. Others' sockets (systemd's, or those
// that another binary's master also listens on) go on listening without this process, so nothing is
// done to them but accepting.
class Listener {
 public:
  Listener(wire::Address where, Descriptor socket, bool is_ours);
  ~Listener();
  Listener(Listener&& other) noexcept = default;
  Listener& operator=(Listener&&) = delete;

  // Removes its file, if that is this process's to remove; the socket stays open. False with errno
  // when the file stays.
  bool remove_file();

  // Another socket takes its place, and number.
  void replace_by(Listener other);

  // Absolute; empty: it has none.
  [[nodiscard]] const std::string& file() const { return file_; }

  wire::Address address;
  Descriptor descriptor;
  bool ours;
  FileId file_id;  // of the file when it was made

 private:
  std::string file_;  // as the working directory may change
};

// Listens on all of `options.sockets`, without blocking. Those that are among `handed_over` are
// taken from there; what is left of these is listened on as well. Throws std::runtime_error naming
// the socket and the cure: an address in use by a living server, a path that is no socket, TCP
// beyond loopback without `plain-tcp`. A socket file that nobody listens on any more is taken over;
// a server that was just killed gets a moment to end.
std::vector<Listener> open_listeners(const Options& options, std::vector<Listener> handed_over,
                                     log::Sink& sink);

// For one that was shut down. True when it is another socket from now on, under its old number,
// which other processes have to inherit; false when it listens on in all of them. Throws
// std::runtime_error when it can not be.
bool listen_again(Listener& listener, const Options& options);

// One that was opened elsewhere.
Listener adopt_listener(int descriptor);

// Throws std::runtime_error when `address` could be reached by other machines unprotected.
void check_exposure(const wire::Address& address, const Options& options);

[[nodiscard]] bool same_address(const wire::Address& one, const wire::Address& other);

// The same for what `stats` and `stats-http` show.
void check_stats_exposure(const Options& options);

// For the server's own endpoints, with the mode of its file. Throws as above.
Listener open_own_listener(const std::string& address, std::optional<mode_t> mode);

// Refuses new connections while those in the listen queue stay acceptable (our own unix sockets
// only: on TCP the same call would drop the queue).
void refuse_new_connections(const std::vector<Listener>& listeners);

}  // namespace forktail::server
