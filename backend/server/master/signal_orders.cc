#include "server/master/signal_orders.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "server/master/master.h"
#include "server/os/signals.h"

namespace forktail::server {

namespace {

using log::EventKind;

Descriptor watch_signals() {
  sigset_t obeyed;
  sigemptyset(&obeyed);
  for (const int signal :
       {SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH, SIGCHLD}) {
    sigaddset(&obeyed, signal);
  }
  pthread_sigmask(SIG_BLOCK, &obeyed, nullptr);
  Descriptor descriptor(signalfd(-1, &obeyed, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor) {
    throw std::system_error(errno, std::generic_category(), "cannot watch for signals");
  }
  return descriptor;
}

}  // namespace

SignalOrders::SignalOrders(Master& master, log::Sink& sink)
    : master_(master), sink_(sink), descriptor_(watch_signals()) {}

void SignalOrders::attend() {
  signalfd_siginfo info;
  while (read(descriptor_.get(), &info, sizeof(info)) == sizeof(info)) {
    obey(static_cast<int>(info.ssi_signo));
  }
}

void SignalOrders::obey(int signal) {
  switch (signal) {
    case SIGTERM:
    case SIGQUIT:
      if (!master_.stop_just_begun()) {
        master_.stop(master_.stopping());
      }
      return;
    case SIGINT:
      return master_.stop(true);
    case SIGHUP:
      master_.reload();
      return;
    case SIGUSR1:
      return master_.reopen_logs();
    case SIGUSR2:
      return upgrade();
    case SIGTTIN:
    case SIGTTOU:
      return scale(signal);
    case SIGWINCH:
      if (!has_terminal() &&  // whose size has changed
          !master_.stopping() && master_.new_master() == 0) {
        master_.send_workers_away();
      }
      return;
    default:
      return;  // SIGCHLD, which is seen to by Master::reap()
  }
}

void SignalOrders::upgrade() {
  if (const std::string why = master_.begin_upgrade(); !why.empty()) {
    sink_.write(EventKind::upgrade_failed, {}, "can not upgrade: " + why, {{"reason", why}});
  }
}

void SignalOrders::scale(int signal) {
  const Generation* current = master_.with_workers();
  if (current == nullptr) {
    return;
  }
  master_.scale(current->wanted() + (signal == SIGTTIN ? 1 : -1));
  sink_.write(EventKind::scaled, {}, fmt::format("{} workers wanted", current->wanted()),
              {{"wanted", std::int64_t{current->wanted()}},
               {"reason", std::string_view(signal == SIGTTIN ? "SIGTTIN" : "SIGTTOU")}});
}

}  // namespace forktail::server
