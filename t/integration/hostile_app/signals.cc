// Signals: masked, taken over, sent.
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

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

constexpr Misbehaviour kTable[] = {
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
