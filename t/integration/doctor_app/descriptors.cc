// Descriptors that are made at load: one fixture each, named by FIXTURE.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <stdexcept>

#include "fixture.h"

namespace {

struct Made {
  // NOLINTNEXTLINE: a fixture that fails says so by not loading
  explicit Made(int result) {
    if (result < 0) {
      throw std::runtime_error("the fixture can not be made");
    }
  }
};

sockaddr_in port_of_the_test() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<in_port_t>(atoi(getenv("FIXTURE_PORT"))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

[[maybe_unused]] void connection() {
  const sockaddr_in address = port_of_the_test();
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Made(connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));  // made here
}

[[maybe_unused]] void listener() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // made here
  Made(bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  Made(listen(made, 5));
}

[[maybe_unused]] void datagrams() {
  Made(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));  // made here
}

[[maybe_unused]] void epoll() {
  Made(epoll_create1(EPOLL_CLOEXEC));  // made here
}

[[maybe_unused]] void event() {
  Made(eventfd(0, EFD_CLOEXEC));  // made here
}

[[maybe_unused]] void timer() {
  Made(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));  // made here
}

[[maybe_unused]] void signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  Made(signalfd(-1, &set, SFD_CLOEXEC));  // made here
}

[[maybe_unused]] void inotify() {
  Made(inotify_init1(IN_CLOEXEC));  // made here
}

[[maybe_unused]] void two_ends() {
  int ends[2];
  Made(pipe2(ends, O_CLOEXEC));  // made here
}

[[maybe_unused]] void file() {
  Made(open("fixture.file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));  // made here
}

[[maybe_unused]] void deleted() {
  char name[] = "fixture.XXXXXX";
  Made(mkstemp(name));  // made here
  unlink(name);
}

int append_only() { return open("fixture.lock", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600); }

[[maybe_unused]] void flock_lock() {
  Made(flock(append_only(), LOCK_EX));  // made here
}

[[maybe_unused]] void posix_lock() {
  struct flock all {};
  all.l_type = F_WRLCK;
  Made(fcntl(append_only(), F_SETLK, &all));  // made here
}

[[maybe_unused]] void ofd_lock() {
  struct flock all {};
  all.l_type = F_WRLCK;
  Made(fcntl(append_only(), F_OFD_SETLK, &all));  // made here
}

}  // namespace

void fixture::at_load() { FIXTURE(); }
