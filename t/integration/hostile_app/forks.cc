// Children of a handler that come back into the server's code, or never leave.
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "hostile.h"

namespace hostile {

namespace {

// Runs `child` in a forked process, whose pid the answer has.
template <typename Child>
Response fork_off(Child child) {
  const pid_t pid = fork();
  if (pid == 0) {
    return child();
  }
  return done(std::to_string(pid) + "\n");
}

constexpr Misbehaviour kTable[] = {
    {"/fork/return", Harm::none, "forks; the child returns an answer too",
     [](const Parameters&) { return fork_off([] { return done("from the child\n"); }); }},
    {"/fork/throw", Harm::none, "forks; the child throws",
     [](const Parameters&) {
       return fork_off([]() -> Response { throw std::runtime_error("in the child"); });
     }},
    {"/fork/failed-exec", Harm::none, "forks; the child's exec fails, and it goes on",
     [](const Parameters&) {
       return fork_off([] {
         execl("/nowhere/at/all", "all", static_cast<char*>(nullptr));
         return done("exec has failed\n");
       });
     }},
    {"/fork/exit", Harm::none, "forks; the child ends by std::exit()",
     [](const Parameters&) { return fork_off([]() -> Response { std::exit(0); }); }},
    {"/fork/in-stream", Harm::none, "forks within a stream; both go on writing",
     [](const Parameters&) {
       return Response::stream(200, "text/plain", [](forktail::Writer& writer) {
         writer.write("before\n");
         fork();
         writer.write("after\n");
       });
     }},
    {"/fork/log", Harm::none, "forks `count` (1) times; each child logs, and ends",
     [](const Parameters& given) {
       for (long i = number(given, "count", 1); i > 0; --i) {
         const pid_t pid = fork();
         if (pid == 0) {
           spdlog::info("from a child");
           _exit(0);
         }
         waitpid(pid, nullptr, 0);
       }
       return done();
     }},
    {"/fork/stay", Harm::lasts, "forks; the child stays for `seconds` (2) with all that is open",
     [](const Parameters& given) {
       const auto seconds = static_cast<unsigned>(number(given, "seconds", 2));
       return fork_off([seconds]() -> Response {
         alarm(seconds);
         for (;;) {
           pause();
         }
       });
     }},
    {"/fork/daemon", Harm::lasts, "forks twice, with a session of its own, for `seconds` (2)",
     [](const Parameters& given) {
       const auto seconds = static_cast<unsigned>(number(given, "seconds", 2));
       return fork_off([seconds]() -> Response {
         setsid();
         if (fork() != 0) {
           _exit(0);
         }
         alarm(seconds);
         for (;;) {
           pause();
         }
       });
     }},
    {"/fork/reap-all", Harm::none, "waits for every child that there may be",
     [](const Parameters&) {
       while (waitpid(-1, nullptr, WNOHANG) > 0) {
       }
       return done();
     }},
    {"/fork/system", Harm::none, "runs a shell command, `command` (true), by system()",
     [](const Parameters& given) {
       const std::string command = given.get("command").value_or("true");
       return done(std::to_string(std::system(command.c_str())) + "\n");
     }},
};

}  // namespace

std::span<const Misbehaviour> forks() { return kTable; }

}  // namespace hostile
