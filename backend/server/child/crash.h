// The last line of a worker that crashes: which signal, at which address, for which request, and
// the stack of the thread that it struck. The signal then takes its default action, so that the
// core dump and what the master learns of the death are as if nobody had looked.
#pragma once

#include "log/sink.h"

namespace forktail::server {

// From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT leave a line in `sink`, which must
// outlive the process's threads. A signal that something else handles already is left to it, and so
// is one that the application takes over later. Once in a worker, before the application is loaded
// or after a fork.
void report_crashes(log::Sink& sink);

// A stack for signal handlers, for a thread that has overflown its own. One object a thread, made
// and destroyed in it; without effect in a thread that has one.
class SignalStack {
 public:
  SignalStack();
  ~SignalStack();
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  void* memory_ = nullptr;
};

}  // namespace forktail::server
