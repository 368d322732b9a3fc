#include "server/os/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "server/os/descriptor.h"

namespace forktail::server {

namespace {

void do_nothing(int) {}

void unblock_all() {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

bool is_ignored(int number) {
  struct sigaction present {};
  return sigaction(number, nullptr, &present) == 0 && (present.sa_flags & SA_SIGINFO) == 0 &&
         present.sa_handler == SIG_IGN;
}

}  // namespace

void undo_inherited_signals() {
  for (int number = 1; number < NSIG; ++number) {
    if (is_ignored(number)) {
      ::signal(number, SIG_DFL);
    }
  }
  unblock_all();
}

void disregard(std::span<const int> signals) {
  for (const int number : signals) {
    struct sigaction action {};
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
  }
}

std::span<const int> signals_of_writes() {
  static constexpr std::array kSignals{SIGPIPE, SIGXFSZ};
  return kSignals;
}

void reset_signals_but(std::span<const int> kept) {
  for (int number = 1; number < NSIG; ++number) {
    if (std::find(kept.begin(), kept.end(), number) == kept.end()) {
      ::signal(number, SIG_DFL);
    }
  }
  unblock_all();
}

bool handles(pid_t process, int signal) {
  constexpr std::string_view kCaught = "\nSigCgt:\t";
  const std::string path = "/proc/" + std::to_string(process) + "/status";
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  const ssize_t size = file ? read(file.get(), text.data(), text.size() - 1) : 0;
  if (size <= 0) {
    return false;
  }
  const std::string_view status(text.data(), static_cast<std::size_t>(size));
  const std::size_t at = status.find(kCaught);
  return at != std::string_view::npos &&
         (std::strtoull(text.data() + at + kCaught.size(), nullptr, 16) >> (signal - 1) & 1) != 0;
}

bool has_terminal() {
  const Descriptor terminal(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  return terminal || errno == EMFILE || errno == ENFILE;
}

}  // namespace forktail::server
