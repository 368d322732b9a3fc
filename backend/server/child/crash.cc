#include "server/child/crash.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "log/thread_ids.h"
#include "server/os/require.h"
#include "server/os/stack_trace.h"

namespace forktail::server {

namespace {

constexpr std::array<std::pair<int, std::string_view>, 5> kSignals{{{SIGSEGV, "SIGSEGV"},
                                                                    {SIGBUS, "SIGBUS"},
                                                                    {SIGFPE, "SIGFPE"},
                                                                    {SIGILL, "SIGILL"},
                                                                    {SIGABRT, "SIGABRT"}}};

constexpr std::size_t kStackSize = 65536;  // a StackTrace, a Line, the unwinder, and as much again

std::string_view name_of(int signal) {
  for (const auto& [number, name] : kSignals) {
    if (number == signal) {
      return name;
    }
  }
  return "a signal";
}

// Text that is put together without allocating.
class Text {
 public:
  Text& add(std::string_view text) {
    size_ += text.copy(chars_.data() + size_, chars_.size() - size_);
    return *this;
  }
  Text& add_address(const void* address) {
    add("0x");
    const auto end = std::to_chars(chars_.data() + size_, chars_.data() + chars_.size(),
                                   reinterpret_cast<std::uintptr_t>(address), 16);
    size_ = static_cast<std::size_t>(end.ptr - chars_.data());
    return *this;
  }
  [[nodiscard]] std::string_view view() const { return {chars_.data(), size_}; }

 private:
  std::array<char, 96> chars_;
  std::size_t size_ = 0;
};

// Handlers can reach nothing but static storage.
log::Sink* log_sink = nullptr;
std::atomic<pid_t> crashed_thread = 0;
std::atomic<int> attempts = 0;
siginfo_t cause;  // written by that thread

void report(const void* signal_context) {
  const std::string_view name = name_of(cause.si_signo);
  Text address;
  Text message;
  message.add("crashed by ").add(name);
  // Sent by a process, it has no address.
  if (cause.si_code > 0) {
    address.add_address(cause.si_addr);
    message.add(" at address ").add(address.view());
  }
  if (const char* what = unmet(); cause.si_signo == SIGABRT && what != nullptr) {
    message.add(": ").add(what);
  }
  const auto write = [&](log::Field::List stack) {
    const std::array<log::Field, 3> fields{
        {{"signal", name}, {"stack", stack}, {"address", address.view()}}};
    log_sink->write_dying(log::EventKind::crash, message.view(),
                          std::span(fields).first(cause.si_code > 0 ? 3 : 2));
  };
  if (signal_context != nullptr) {
    write(StackTrace(signal_context).frames());
  } else {
    write({});
  }
}

// When this function returns, `signal` strikes again where it did before, and kills.
void die_of(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, signal);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  raise(signal);
}

void on_crash(int, siginfo_t* info, void* context) {
  const pid_t self = gettid();
  pid_t nobody = 0;
  if (crashed_thread.compare_exchange_strong(nobody, self)) {
    cause = *info;
  } else if (nobody != self) {
    for (;;) {
      pause();  // until the other thread's line is written and the process gone
    }
  }
  // A broken stack may make the trace crash too: then the line is written without it.
  const int attempt = attempts++;
  if (attempt < 2) {
    report(attempt == 0 ? context : nullptr);
  }
  die_of(cause.si_signo);
}

}  // namespace

void report_crashes(log::Sink& sink) {
  log_sink = &sink;
  log::thread_ids();  // its first call allocates
  note_loaded_objects();
  for (const auto& [number, name] : kSignals) {
    struct sigaction present {};
    sigaction(number, nullptr, &present);
    if ((present.sa_flags & SA_SIGINFO) != 0 || present.sa_handler != SIG_DFL) {
      continue;
    }
    struct sigaction action {};  // with an empty mask, so that the handler may crash, too
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(number, &action, nullptr);
  }
}

SignalStack::SignalStack() {
  stack_t old{};
  sigaltstack(nullptr, &old);
  if ((old.ss_flags & SS_DISABLE) == 0) {
    return;
  }
  void* memory = mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) {
    return;  // without it an overflow of the stack leaves no line; all else works
  }
  memory_ = memory;
  const stack_t stack{memory_, 0, kStackSize};
  sigaltstack(&stack, nullptr);
}

SignalStack::~SignalStack() {
  if (memory_ != nullptr) {
    const stack_t none{nullptr, SS_DISABLE, 0};
    sigaltstack(&none, nullptr);
    munmap(memory_, kStackSize);
  }
}

}  // namespace forktail::server
