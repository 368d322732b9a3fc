// Ways to end a process that is not one's own.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>

#include "hostile.h"

namespace hostile {

namespace {

int overflow(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

Response raise_one(int signal) {
  ::kill(getpid(), signal);
  return done();
}

constexpr Misbehaviour kTable[] = {
    {"/end/exit", Harm::ends, "std::exit(code), atexit handlers and destructors included",
     [](const Parameters& given) -> Response {
       std::exit(static_cast<int>(number(given, "code", 0)));
     }},
    {"/end/_exit", Harm::ends, "_exit(code)",
     [](const Parameters& given) -> Response {
       _exit(static_cast<int>(number(given, "code", 0)));
     }},
    {"/end/quick-exit", Harm::ends, "std::quick_exit(code)",
     [](const Parameters& given) -> Response {
       std::quick_exit(static_cast<int>(number(given, "code", 0)));
     }},
    {"/end/abort", Harm::ends, "std::abort()", [](const Parameters&) -> Response { std::abort(); }},
    {"/end/terminate", Harm::ends, "std::terminate()",
     [](const Parameters&) -> Response { std::terminate(); }},
    {"/end/null", Harm::ends, "writes through a null pointer",
     [](const Parameters&) {
       volatile int* null = nullptr;
       *null = 1;
       return done();
     }},
    {"/end/overflow", Harm::ends, "overflows the stack",
     [](const Parameters&) { return done(std::to_string(overflow(0))); }},
    {"/end/trap", Harm::ends, "an illegal instruction",
     [](const Parameters&) -> Response { __builtin_trap(); }},
    {"/end/double-free", Harm::ends, "frees memory twice",
     [](const Parameters&) {
       void* volatile memory = std::malloc(24);
       std::free(memory);
       std::free(memory);  // NOLINT: what it is for
       return done();
     }},
    {"/end/signal", Harm::ends, "sends the signal `number` (9) to itself",
     [](const Parameters& given) {
       return raise_one(static_cast<int>(number(given, "number", SIGKILL)));
     }},
    {"/end/stop", Harm::hangs, "stops itself with SIGSTOP",
     [](const Parameters&) { return raise_one(SIGSTOP); }},
    {"/end/exec", Harm::ends, "becomes another program, which ends well",
     [](const Parameters&) {
       execl("/bin/true", "true", static_cast<char*>(nullptr));
       return done();
     }},
};

}  // namespace

std::span<const Misbehaviour> ends() { return kTable; }

}  // namespace hostile
