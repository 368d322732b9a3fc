// A TLS process: accepts on the sockets that speak TLS and gives the workers plain connections.
//
// Forked by the master itself, never from a template: no code of an application's ever runs in a
// process that has the private key, and none of the user's other processes may look into it. What
// it shares with the workers is the TlsQueue, so to them its connections are like any others.
// One thread, which waits for nobody: thousands of slow handshakes hold no worker and delay nobody.
#pragma once

#include <sys/types.h>

#include <vector>

#include "log/sink.h"
#include "server/shared/channel.h"
#include "server/shared/options.h"
#include "server/shared/tls_figures.h"

namespace forktail::server {

// What it is started with. The references must outlive it.
struct TlsDuty {
  const Options& options;  // with the files
  std::vector<int> listeners;
  int queue;       // the writing end of the TlsQueue
  int generation;  // that it stands in front of at first, for the log
  int number;      // from 1
  TlsBoard& board;
};

// The life of a TLS process, in a process just forked from the master. Ends it: with 0 when it was
// told to leave and its last connection has ended, with 1 (and a start_failed message) when it
// could not start.
[[noreturn]] void run_tls_process(const TlsDuty& duty, pid_t master, log::Sink& sink,
                                  const Channel& channel);

}  // namespace forktail::server
