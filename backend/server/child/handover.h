// How a worker in exec mode comes by what a forked one simply has: a description, in a memfd, of
// the descriptors that it inherits and of its options.
#pragma once

#include <string>
#include <vector>

#include "server/child/worker.h"
#include "server/shared/channel.h"

namespace forktail::server {

struct Handover {
  pid_t master = 0;
  int generation = 0;
  int worker = 0;
  int seats = 0;
  int kept_base = 0;
  int kept_capacity = 0;
  int slots = -1;  // descriptors, from here on
  int epoll = -1;
  int kept = -1;
  int channel = -1;
  int log = -1;
  int log_groups = -1;  // none
  std::vector<int> listeners;
  std::vector<int> mailboxes;
  std::string options;   // INI text
  std::string tls_cert;  // in PEM, see TlsMaterial
  std::string tls_key;
  std::string tls_client_ca;
  std::vector<unsigned char> tls_ticket_keys;
};

// Replaces the process by a fresh one of the same program, as worker `id`. Returns only on failure,
// with the reason.
std::string exec_worker(const Household& household, int id, const Channel& channel);

// In the fresh process: reads the description and closes its descriptor. Throws std::runtime_error
// when it is none.
Handover read_handover(int descriptor);

// The rest of the worker's life, after `options` have been read from the handover.
[[noreturn]] void run_exec_worker(const Handover& handover, Options options);

}  // namespace forktail::server
