// Signals: masked, taken over, sent.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "hostile.h"

namespace hostile {

namespace {

void handle_all(void (*handler)(int)) {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigaction(signal, &action, nullptr);
  }
}

// How often something that waits came back early, until there is a file `enough`; it makes a file
// `waiting` when it begins.
long interrupted() {
  int pair[2] = {-1, -1};
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  const timeval patience{0, 5000};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  close(creat("waiting", 0600));
  long count = 0;
  const auto note = [&count](int result) { count += result < 0 && errno == EINTR ? 1 : 0; };
  while (access("enough", F_OK) != 0) {
    char byte = 0;
    epoll_event event{};
    timeval limit = patience;
    const timespec pause{0, 5'000'000};
    note(poll(nullptr, 0, 5));
    note(nanosleep(&pause, nullptr));
    note(static_cast<int>(recv(pair[0], &byte, 1, 0)));
    note(epoll_wait(epoll, &event, 1, 5));
    note(select(0, nullptr, nullptr, nullptr, &limit));
  }
  for (const int descriptor : {pair[0], pair[1], epoll}) {
    close(descriptor);
  }
  return count;
}

constexpr const char* kStatus = "/proc/self/status";

std::string read_to_end(FILE* file) {
  std::string text;
  char part[4096];
  while (const std::size_t size = fread(part, 1, sizeof(part), file)) {
    text.append(part, size);
  }
  return text;
}

// What /proc says of a program that was started in such a way.
std::string program_by(const std::string& how) {
  if (how == "popen") {
    FILE* file = popen("exec cat /proc/self/status", "r");
    std::string text = read_to_end(file);
    pclose(file);
    return text;
  }
  FILE* file = tmpfile();
  const std::string out =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fileno(file));
  pid_t pid = 0;
  if (how == "system") {
    static_cast<void>(std::system(("exec cat /proc/self/status > " + out).c_str()));
  } else if (how == "spawn") {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY, 0);
    char* arguments[] = {const_cast<char*>("cat"), const_cast<char*>(kStatus), nullptr};
    posix_spawnp(&pid, "cat", &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
  } else {
    pid = how == "vfork" ? vfork() : fork();
    if (pid == 0) {
      dup2(fileno(file), STDOUT_FILENO);
      execlp("cat", "cat", kStatus, static_cast<char*>(nullptr));
      _exit(127);
    }
  }
  if (pid > 0) {
    waitpid(pid, nullptr, 0);
  }
  rewind(file);
  std::string text = read_to_end(file);
  fclose(file);
  return text;
}

constexpr Misbehaviour kTable[] = {
    {"/signals/wait", Harm::hangs, "waits, and counts what ends it early, until `enough` is there",
     [](const Parameters&) { return done(std::to_string(interrupted()) + "\n"); }},
    {"/signals/program", Harm::none, "starts a program by `how` (fork) and tells its signals",
     [](const Parameters& given) { return done(program_by(given.get("how").value_or("fork"))); }},
    {"/signals/block", Harm::lasts, "blocks all signals in its thread",
     [](const Parameters&) {
       sigset_t all;
       sigfillset(&all);
       pthread_sigmask(SIG_SETMASK, &all, nullptr);
       return done();
     }},
    {"/signals/ignore", Harm::lasts, "ignores all signals",
     [](const Parameters&) {
       handle_all(SIG_IGN);
       return done();
     }},
    {"/signals/default", Harm::lasts, "gives all signals their default action",
     [](const Parameters&) {
       handle_all(SIG_DFL);
       return done();
     }},
    {"/signals/handle", Harm::lasts, "installs a handler for all signals that does nothing",
     [](const Parameters&) {
       handle_all([](int) {});
       return done();
     }},
    {"/signals/raise", Harm::none, "sends the signal `number` (10) to its process",
     [](const Parameters& given) {
       kill(getpid(), static_cast<int>(number(given, "number", SIGUSR1)));
       return done();
     }},
    {"/signals/traced", Harm::lasts,
     "has its parent trace it, and sends itself `number` (SIGWINCH)",
     [](const Parameters& given) {
       ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
       kill(getpid(), static_cast<int>(number(given, "number", SIGWINCH)));
       return done();
     }},
    {"/signals/alarm", Harm::lasts, "lets SIGALRM, handled, strike every `us` (1000) microseconds",
     [](const Parameters& given) {
       signal(SIGALRM, [](int) {});
       const auto pause = static_cast<suseconds_t>(number(given, "us", 1000));
       const itimerval timer{{0, pause}, {0, pause}};
       setitimer(ITIMER_REAL, &timer, nullptr);
       return done();
     }},
    {"/signals/alternate-stack", Harm::lasts, "takes the stack of signal handlers away",
     [](const Parameters&) {
       const stack_t none{nullptr, SS_DISABLE, 0};
       sigaltstack(&none, nullptr);
       return done();
     }},
};

}  // namespace

std::span<const Misbehaviour> signals() { return kTable; }

}  // namespace hostile
