// What the tests of the server share: child processes that do what they are told, step by step.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "server/os/descriptor.h"

namespace forktail::server {

using namespace std::chrono_literals;

// Until `condition` holds; false when it does not within ten seconds.
template <typename Condition>
bool wait_until(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// A forked process that runs `body` and ends with what it returns. Killed at the end of the scope.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) {
      throw std::system_error(errno, std::generic_category(), "fork");
    }
    if (pid_ == 0) {
      _exit(body());
    }
  }
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }

  // Waits for its end; returns the exit status, 128 + N after signal N.
  int join() {
    int status = 0;
    while (waitpid(std::exchange(pid_, -1), &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void kill() {
    if (pid_ > 0) {
      signal(SIGKILL);
      join();
    }
  }

 private:
  pid_t pid_ = -1;
};

struct SocketPair {
  explicit SocketPair(int type = SOCK_STREAM, int flags = SOCK_CLOEXEC) {
    int ends[2];
    if (socketpair(AF_UNIX, type | flags, 0, ends) != 0) {
      throw std::system_error(errno, std::generic_category(), "socketpair");
    }
    ours = Descriptor(ends[0]);
    theirs = Descriptor(ends[1]);
  }
  Descriptor ours;
  Descriptor theirs;
};

inline bool readable(int descriptor, std::chrono::milliseconds patience = 10s) {
  pollfd watched{descriptor, POLLIN, 0};
  return poll(&watched, 1, static_cast<int>(patience.count())) > 0;
}

inline void send_text(int socket, std::string_view text) {
  ASSERT_EQ(send(socket, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()))
      << strerror(errno);
}

// What comes next, at most 64 bytes; "(end)" at the end of the connection, "(nothing)" when nothing
// comes.
inline std::string receive_text(int socket, std::chrono::milliseconds patience = 10s) {
  if (!readable(socket, patience)) {
    return "(nothing)";
  }
  char text[64];
  const ssize_t size = recv(socket, text, sizeof(text), 0);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "(end)";
}

// A listening socket without a file, as the server's are: non-blocking.
class TestListener {
 public:
  TestListener() : descriptor_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    address_.sun_family = AF_UNIX;
    // Only the family: the kernel chooses an abstract name.
    if (bind(descriptor_.get(), generic(), sizeof(sa_family_t)) != 0 ||
        listen(descriptor_.get(), 64) != 0 ||
        getsockname(descriptor_.get(), generic(), &size_) != 0) {
      throw std::system_error(errno, std::generic_category(), "listen");
    }
  }

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }

  Descriptor connect() {
    Descriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(client.get(), generic(), size_) != 0) {
      throw std::system_error(errno, std::generic_category(), "connect");
    }
    return client;
  }

 private:
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&address_); }

  Descriptor descriptor_;
  sockaddr_un address_{};
  socklen_t size_ = sizeof(address_);
};

}  // namespace forktail::server
