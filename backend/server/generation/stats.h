// What the server tells of itself: one JSON object with uWSGI's names, so that uwsgitop and its
// like work, and ours beside them; and the same as Prometheus text.
//
// Collected by the master when somebody asks. Counters are sums over all workers that ever were: a
// respawn or a reload does not take them back.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/os/listen_queue.h"
#include "server/os/process_memory.h"
#include "server/shared/slots.h"
#include "server/shared/tls_figures.h"

namespace forktail::server {

// Of one worker, or of many added up.
struct Counters {
  std::uint64_t requests = 0;
  std::uint64_t exceptions = 0;
  std::uint64_t bytes = 0;      // of response bodies
  std::uint64_t handle_us = 0;  // in the application
  std::uint64_t respawns = 0;
  std::uint64_t harakiris = 0;
  std::uint64_t crashes = 0;
  std::uint64_t lost = 0;  // requests that died with their worker
  std::uint64_t log_lines_dropped = 0;
  std::uint64_t tls_handshakes = 0;
  std::uint64_t tls_failures = 0;
  std::uint64_t tls_respawns = 0;

  void add(const Counters& other);
};

struct ThreadStats {
  int thread = 0;
  pid_t tid = 0;
  std::uint64_t requests = 0;
  SlotRequest request;
  std::int64_t age_ms = 0;  // of the request
};

struct WorkerStats {
  int id = 0;
  int generation = 0;
  pid_t pid = 0;  // 0: none at the moment
  bool ready = false;
  bool leaving = false;
  std::int64_t last_spawn = 0;  // seconds since the epoch
  std::uint64_t requests_of_process = 0;
  Counters counters;
  ProcessMemory memory;
  std::vector<ThreadStats> threads;
};

struct TlsStats {
  int number = 0;
  int generation = 0;
  pid_t pid = 0;
  bool accepting = false;
  bool leaving = false;
  TlsFigures figures;
};

struct SocketStats {
  std::string name;
  std::optional<ListenQueue> queue;
};

struct Stats {
  std::string version;
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string cwd;
  int generation = 0;
  std::string fork_mode;
  int wanted = 0;
  Counters totals;  // of all processes, and of the servers that this one has upgraded
  std::vector<SocketStats> sockets;
  std::vector<WorkerStats> workers;
  std::vector<TlsStats> tls;

  // With what the process is, and no more.
  static Stats of_this_process();
};

nlohmann::ordered_json to_json(const Stats& stats);
std::string to_prometheus(const Stats& stats);

}  // namespace forktail::server
