// The same application as the barest HTTP server that keeps connections: what can not be beaten.
//
//   dispatch_stub SOCKET PROCESSES
//
// Each process serves the connections that it has accepted, in turn, and logs nothing.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
constexpr std::string_view kSleep = "GET /sleep/";

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int listen_at(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 4096) != 0) {
    fail(path);
  }
  return listener;
}

void watch(int epoll, int descriptor, unsigned events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = descriptor;
  epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

// A request comes whole here: nginx sends it in one piece.
void answer(int client) {
  std::array<char, 8192> request;
  const ssize_t size = read(client, request.data(), request.size() - 1);
  if (size <= 0) {
    close(client);
    return;
  }
  request[static_cast<std::size_t>(size)] = '\0';
  if (std::string_view(request.data()).starts_with(kSleep)) {
    usleep(static_cast<unsigned>(std::atoi(request.data() + kSleep.size())) * 1000);
  }
  if (write(client, kAnswer.data(), kAnswer.size()) < 0) {
    close(client);
  }
}

[[noreturn]] void serve(int listener) {
  const int epoll = epoll_create1(0);
  watch(epoll, listener, EPOLLIN | EPOLLEXCLUSIVE);
  for (;;) {
    epoll_event event{};
    if (epoll_wait(epoll, &event, 1, -1) != 1) {
      continue;
    }
    if (event.data.fd != listener) {
      answer(event.data.fd);
    } else if (const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); client >= 0) {
      watch(epoll, client, EPOLLIN);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: dispatch_stub SOCKET PROCESSES\n", stderr);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const int listener = listen_at(argv[1]);
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(listener);
    }
  }
  pause();
}
