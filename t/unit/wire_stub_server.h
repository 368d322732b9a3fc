// A uwsgi server for the tests of its clients: does with each connection what the test says.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "wire/packet.h"

namespace forktail::wire {

// One accepted connection, from the server's side.
class StubConnection {
 public:
  explicit StubConnection(int socket) : socket_(socket) {}
  ~StubConnection() { close(socket_); }
  StubConnection(const StubConnection&) = delete;
  StubConnection& operator=(const StubConnection&) = delete;

  // Exactly `size` bytes, or fewer when the stream ends.
  [[nodiscard]] std::string receive(std::size_t size) const {
    if (size == 0) {
      return {};  // the call would wait for a byte
    }
    std::string bytes(size, '\0');
    const ssize_t got = recv(socket_, bytes.data(), size, MSG_WAITALL);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
  }

  // A request's packet without its header; empty when the stream ends.
  [[nodiscard]] std::string receive_packet() const {
    const std::string header = receive(kHeaderSize);
    if (header.size() < kHeaderSize) {
      return {};
    }
    return receive(
        read_header(std::span<const char, kHeaderSize>(header.data(), kHeaderSize)).datasize);
  }

  void send(std::string_view bytes) const {
    ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  // Sends nothing after these bytes, which may be none.
  void finish(std::string_view bytes) const {
    send(bytes);
    shutdown(socket_, SHUT_WR);
  }

 private:
  const int socket_;
};

// Listens on a unix socket in a temporary directory, or on a free port of 127.0.0.1, and serves one
// connection after the other in a thread. The destructor waits for that thread: close the client's
// connections first.
class StubServer {
 public:
  using Serve = std::function<void(const StubConnection&)>;
  enum class Kind { unix_socket, tcp };

  explicit StubServer(Serve serve, Kind kind = Kind::unix_socket) : serve_(std::move(serve)) {
    kind == Kind::tcp ? listen_on_tcp() : listen_on_path();
    thread_ = std::thread([this] { accept_all(); });
  }

  ~StubServer() {
    shutdown(listener_, SHUT_RDWR);  // ends the accept() of the thread
    thread_.join();
    close(listener_);
    if (!directory_.empty()) {
      std::filesystem::remove_all(directory_);
    }
  }
  StubServer(const StubServer&) = delete;
  StubServer& operator=(const StubServer&) = delete;

  [[nodiscard]] const std::string& address() const { return address_; }
  // Only after the client has had its answer from the last one.
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void listen_on_path() {
    std::string name = std::filesystem::temp_directory_path() / "forktail-wire-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "mkdtemp");
    }
    directory_ = name;
    address_ = name + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    address_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    listen_on(reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }

  void listen_on_tcp() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    listen_on(reinterpret_cast<sockaddr*>(&address), size);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }

  void listen_on(const sockaddr* address, socklen_t size) {
    listener_ = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener_, address, size) != 0 || listen(listener_, 8) != 0) {
      throw std::system_error(errno, std::generic_category(), "listen");
    }
  }

  void accept_all() {
    for (;;) {
      const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) {
        return;
      }
      ++connections_;
      serve_(StubConnection(socket));
    }
  }

  Serve serve_;
  int listener_ = -1;
  std::atomic<int> connections_ = 0;
  std::filesystem::path directory_;
  std::string address_;
  std::thread thread_;
};

}  // namespace forktail::wire
