#include "server/master/log_maker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "log/target.h"
#include "server/os/title.h"

namespace forktail::server {

namespace {

// Away from the server's files, terminal and process group, whose signals are not meant for it.
void leave_the_server(int socket) {
  setsid();
  for (int number = 1; number < NSIG; ++number) {
    ::signal(number, SIG_IGN);
  }
  close_all_but(std::array{socket});
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    dup2(nowhere, standard);
  }
  if (chdir("/") != 0) {
    _exit(1);
  }
}

// Until nobody is left who could ask.
[[noreturn]] void run(int socket, const std::string& path, const Identity& owner) {
  constexpr auto kUnchanged = static_cast<id_t>(-1);
  const mode_t mask = umask(0);
  umask(mask);
  const mode_t mode = 0640 & ~mask;
  char question = 0;
  for (;;) {
    const ssize_t size = recv(socket, &question, 1, 0);
    if (size <= 0 && (size == 0 || errno != EINTR)) {
      _exit(0);
    }
    const log::GuardedFile file = log::open_target(path.c_str(), mode);
    if (file.made && fchown(file.descriptor, owner.uid.value_or(kUnchanged),
                            owner.gid.value_or(kUnchanged)) != 0) {
      unlink(path.c_str());
    }
    if (file.descriptor >= 0) {
      close(file.descriptor);
    }
    send(socket, &question, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

}  // namespace

LogMaker LogMaker::start(const std::string& path, const Identity& owner, const std::string& title) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make a socket");
  }
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  std::fflush(nullptr);
  // Through a process in between, so that it is nobody's child and nobody has to wait for it.
  const pid_t between = fork();
  if (between < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot fork");
  }
  if (between == 0) {
    if (fork() == 0) {
      leave_the_server(theirs.get());
      set_title(title, "log maker");
      run(theirs.get(), path, owner);
    }
    _exit(0);
  }
  while (waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  return LogMaker(std::move(ours));
}

void LogMaker::ask() const {
  if (!socket_) {
    return;
  }
  char answer = 0;
  while (recv(socket_.get(), &answer, 1, MSG_DONTWAIT) > 0) {
    // Of a question that nobody waited for any longer.
  }
  pollfd watched{socket_.get(), POLLIN, 0};
  if (send(socket_.get(), &answer, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 &&
      poll(&watched, 1, 1000) > 0) {
    recv(socket_.get(), &answer, 1, MSG_DONTWAIT);
  }
}

}  // namespace forktail::server
