#include "server/shared/listeners.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "server/os/users.h"

namespace forktail::server {

namespace {

// The path of a socket that is a file; empty for TCP and the abstract namespace.
std::string file_of(const wire::Address& address) {
  std::string path = address.path();
  return path.starts_with('@') ? std::string() : path;
}

[[noreturn]] void refuse(const wire::Address& address, const std::string& why) {
  throw std::runtime_error(fmt::format("socket {}: {}", address.text, why));
}

std::string system_text(int error) { return std::generic_category().message(error); }

int somaxconn() {
  int longest = SOMAXCONN;
  std::ifstream("/proc/sys/net/core/somaxconn") >> longest;
  return longest;
}

int backlog(const Options& options) { return options.listen == 0 ? somaxconn() : options.listen; }

void check_backlog(const Options& options, log::Sink& sink) {
  const int longest = somaxconn();
  if (options.listen > longest) {
    sink.write(log::EventKind::backlog_short, {},
               fmt::format("listen = {} is more than the kernel allows: it will cut the listen "
                           "queue to {} (raise it with sysctl net.core.somaxconn={})",
                           options.listen, longest, options.listen),
               {{"listen", std::int64_t{options.listen}}, {"longest", std::int64_t{longest}}});
  }
}

bool someone_listens(const wire::Address& address) {
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(probe.get(), address.get(), address.size) == 0 || errno != ECONNREFUSED;
}

// The address is to be free: a socket file that a killed server left behind is removed, one that
// somebody listens on, or anything that is no socket, is left alone. False: somebody listens.
bool clear_stale_file(const wire::Address& address) {
  const std::string path = file_of(address);
  struct stat found {};
  if (path.empty() || lstat(path.c_str(), &found) != 0) {
    return true;
  }
  if (!S_ISSOCK(found.st_mode)) {
    refuse(address, "exists and is no socket; give another path or remove it");
  }
  if (someone_listens(address)) {
    return false;
  }
  if (FileId(found) == FileId::of(path)) {
    unlink(path.c_str());
  }
  return true;
}

// A server that was killed may still be ending, its workers with the socket open.
void bind_when_free(int socket, const wire::Address& address) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kPause{20};
  const auto end = Clock::now() + kWaitForPredecessor;
  for (;;) {
    const bool free = !address.is_unix() || clear_stale_file(address);
    if (free && bind(socket, address.get(), address.size) == 0) {
      return;
    }
    if (free && errno != EADDRINUSE) {
      refuse(address, "cannot bind: " + system_text(errno));
    }
    if (Clock::now() >= end) {
      refuse(address, fmt::format("another server listens on it; stop that one or give another {}",
                                  address.is_unix() ? "path" : "port"));
    }
    std::this_thread::sleep_for(kPause);
  }
}

Descriptor bind_socket(const wire::Address& address, std::optional<mode_t> mode) {
  Descriptor listener(
      socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) {
    refuse(address, system_text(errno));
  }
  if (!address.is_unix()) {
    const int on = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  if (!mode || !address.is_unix()) {
    bind_when_free(listener.get(), address);
    return listener;
  }
  // The file is made with the mode of the socket: it never has another one.
  if (fchmod(listener.get(), *mode) != 0) {
    refuse(address, "cannot set the mode: " + system_text(errno));
  }
  const mode_t mask = ::umask(0);
  try {
    bind_when_free(listener.get(), address);
  } catch (...) {
    ::umask(mask);
    throw;
  }
  ::umask(mask);
  return listener;
}

// By a descriptor of the file itself: by its path it could be another one's that is given away,
// when others can write to the directory.
void give_away(const wire::Address& address, const std::string& to) {
  const std::string path = file_of(address);
  if (path.empty() || to.empty()) {
    return;
  }
  const UserAndGroup owner = find_user_and_group(to);
  const Descriptor file(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!file || fstat(file.get(), &info) != 0 || !S_ISSOCK(info.st_mode) || info.st_nlink != 1 ||
      info.st_uid != geteuid()) {
    refuse(address,
           "was replaced by somebody else as soon as it was made; use a directory that "
           "only the server can write to");
  }
  if (fchownat(file.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) != 0) {
    refuse(address, fmt::format("chown-socket = {}: {}", to, system_text(errno)));
  }
}

wire::Address address_of(int descriptor) {
  wire::Address address{{}, sizeof(sockaddr_storage), {}};
  auto* generic = reinterpret_cast<sockaddr*>(&address.storage);
  if (getsockname(descriptor, generic, &address.size) != 0) {
    throw std::system_error(errno, std::generic_category(), "getsockname");
  }
  if (address.is_unix()) {
    constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
    const char* path = reinterpret_cast<const char*>(&address.storage) + kHead;
    const std::size_t size = address.size - kHead;
    address.text = *path == '\0' && size > 1 ? "@" + std::string(path + 1, size - 1)
                                             : std::string(path, strnlen(path, size));
    return address;
  }
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  getnameinfo(generic, address.size, host.data(), host.size(), port.data(), port.size(),
              NI_NUMERICHOST | NI_NUMERICSERV);
  address.text = address.storage.ss_family == AF_INET6
                     ? fmt::format("[{}]:{}", host.data(), port.data())
                     : fmt::format("{}:{}", host.data(), port.data());
  return address;
}

// For what kind of traffic the queue is.
struct Queue {
  std::optional<mode_t> mode;
  std::string owner;
  int length;
};

Listener bind_listener(wire::Address address, const Queue& queue) {
  Descriptor descriptor = bind_socket(address, queue.mode);
  Listener listener(std::move(address), std::move(descriptor), true);
  give_away(listener.address, queue.owner);
  if (listen(listener.descriptor.get(), queue.length) != 0) {
    refuse(listener.address, "cannot listen: " + system_text(errno));
  }
  return listener;
}

}  // namespace

void check_stats_exposure(const Options& options) {
  for (const auto& [name, text] :
       {std::pair("stats", &options.stats), std::pair("stats-http", &options.stats_http)}) {
    if (text->empty() || options.plain_tcp) {
      continue;
    }
    const wire::Address address = wire::parse_address(*text);
    if (!address.is_unix() && !address.is_loopback()) {
      throw std::runtime_error(fmt::format(
          "{} = {}: shows paths and ids of requests to everybody who can reach it, without a "
          "password: listen on 127.0.0.1 or a unix socket, or say `plain-tcp = true` if the "
          "network "
          "itself is trusted",
          name, *text));
    }
  }
}

void check_exposure(const wire::Address& address, const Options& options) {
  if (!address.is_unix() && !address.is_loopback() && !options.plain_tcp &&
      options.tls_client_ca.empty()) {
    refuse(
        address,
        "the uwsgi protocol has no authentication, so a TCP socket that other machines can reach "
        "needs TLS with a client CA (tls-cert, tls-key, tls-client-ca), or `plain-tcp = true` if "
        "the network itself is trusted");
  }
}

Listener::Listener(wire::Address where, Descriptor socket, bool is_ours)
    : address(std::move(where)), descriptor(std::move(socket)), ours(is_ours) {
  if (const std::string file = file_of(address); !file.empty()) {
    file_ = std::filesystem::absolute(file).string();
    struct stat info {};
    if (lstat(file_.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
      file_id = FileId(info);
    }
  }
}

Listener::~Listener() { remove_file(); }

bool Listener::remove_file() {
  if (!descriptor || !ours || file_.empty()) {
    return true;
  }
  // Another server may listen at the same path by now: its file stays.
  const bool removed = file_id.inode == 0 || !(file_id == FileId::of(file_)) ||
                       unlink(file_.c_str()) == 0 || errno == ENOENT;
  if (removed) {
    file_.clear();
  }
  return removed;
}

void Listener::replace_by(Listener other) {
  if (dup3(other.descriptor.get(), descriptor.get(), O_CLOEXEC) < 0) {
    refuse(address, system_text(errno));
  }
  file_id = other.file_id;
  other.ours = false;  // its file is this one's
}

// TCP begins anew after a shutdown, a unix socket does not.
bool listen_again(Listener& listener, const Options& options) {
  const Queue queue{options.chmod_socket, options.chown_socket, backlog(options)};
  if (!listener.address.is_unix()) {
    if (listen(listener.descriptor.get(), queue.length) != 0) {
      refuse(listener.address, "cannot listen: " + system_text(errno));
    }
    return false;
  }
  if (!listener.ours || listener.file().empty()) {
    refuse(listener.address, "it is not this server's to make");
  }
  listener.replace_by(bind_listener(wire::parse_address(listener.file()), queue));
  return true;
}

bool same_address(const wire::Address& one, const wire::Address& other) {
  return one.size == other.size && std::memcmp(&one.storage, &other.storage, one.size) == 0;
}

Listener adopt_listener(int number) {
  Descriptor descriptor(number);
  fcntl(number, F_SETFD, FD_CLOEXEC);
  fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK);
  wire::Address address = address_of(number);
  return {std::move(address), std::move(descriptor), false};
}

std::vector<Listener> open_listeners(const Options& options, std::vector<Listener> handed_over,
                                     log::Sink& sink) {
  check_backlog(options, sink);
  std::vector<Listener> listeners = std::move(handed_over);
  for (const Listener& listener : listeners) {
    check_exposure(listener.address, options);
  }
  const std::size_t given = listeners.size();
  for (const std::string& text : options.sockets) {
    wire::Address address = wire::parse_address(text);
    const auto end = listeners.begin() + static_cast<std::ptrdiff_t>(given);
    if (std::none_of(listeners.begin(), end, [&](const Listener& listener) {
          return same_address(listener.address, address);
        })) {
      check_exposure(address, options);
      listeners.push_back(bind_listener(
          std::move(address), {options.chmod_socket, options.chown_socket, backlog(options)}));
    }
  }
  if (listeners.empty()) {
    throw std::runtime_error(
        "socket: is missing: give at least one with --socket, or have systemd hand one over");
  }
  return listeners;
}

Listener open_own_listener(const std::string& text, std::optional<mode_t> mode) {
  return bind_listener(wire::parse_address(text), {mode, "", somaxconn()});
}

void refuse_new_connections(const std::vector<Listener>& listeners) {
  for (const Listener& listener : listeners) {
    if (listener.ours && listener.address.is_unix()) {
      shutdown(listener.descriptor.get(), SHUT_RDWR);
    }
  }
}

}  // namespace forktail::server
