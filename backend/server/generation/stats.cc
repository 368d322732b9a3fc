#include "server/generation/stats.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace forktail::server {

namespace {

using Json = nlohmann::ordered_json;

// Which may be removed by now: then the kernel says so behind the path.
std::string directory_of_this_process() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/cwd", error);
  return error ? "" : path.string();
}

std::string_view status_of(const WorkerStats& worker) {
  if (worker.pid == 0) {
    return "cheap";
  }
  const bool busy =
      std::any_of(worker.threads.begin(), worker.threads.end(),
                  [](const auto& thread) { return thread.request.state != SlotState::idle; });
  return busy ? "busy" : "idle";
}

std::uint64_t average_us(const Counters& counters) {
  return counters.requests == 0 ? 0 : counters.handle_us / counters.requests;
}

// Text of a client's, which need not be UTF-8, must not make the whole object fail.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
      c = '?';
    }
  }
  return text;
}

// Within the quotes of a Prometheus label.
std::string label(const std::string& text) {
  std::string escaped;
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

Json core_json(const ThreadStats& thread) {
  const bool busy = thread.request.state != SlotState::idle;
  Json core{{"id", thread.thread},     {"requests", thread.requests},
            {"static_requests", 0},    {"routed_requests", 0},
            {"offloaded_requests", 0}, {"write_errors", 0},
            {"read_errors", 0},        {"in_request", busy ? 1 : 0},
            {"tid", thread.tid},       {"state", to_string(thread.request.state)}};
  if (busy) {
    core["request_id"] = printable(thread.request.id);
    core["method"] = printable(thread.request.method);
    core["path"] = printable(thread.request.path);
    core["age_ms"] = thread.age_ms;
  }
  return core;
}

Json worker_json(const WorkerStats& worker) {
  Json cores = Json::array();
  for (const ThreadStats& thread : worker.threads) {
    cores.push_back(core_json(thread));
  }
  const Counters& counters = worker.counters;
  return {{"id", worker.id},
          {"pid", worker.pid},
          {"accepting", worker.ready && !worker.leaving ? 1 : 0},
          {"requests", counters.requests},
          {"delta_requests", worker.requests_of_process},
          {"exceptions", counters.exceptions},
          {"harakiri_count", counters.harakiris},
          {"signals", 0},
          {"signal_queue", 0},
          {"status", status_of(worker)},
          {"rss", worker.memory.resident},
          {"vsz", worker.memory.virtual_size},
          {"uss", worker.memory.unique},
          {"pss", worker.memory.proportional},
          {"running_time", counters.handle_us},
          {"last_spawn", worker.last_spawn},
          {"respawn_count", counters.respawns},
          {"tx", counters.bytes},
          {"avg_rt", average_us(counters)},
          {"generation", worker.generation},
          {"crashes", counters.crashes},
          {"apps", Json::array()},
          {"cores", std::move(cores)}};
}

Json socket_json(const SocketStats& socket) {
  const ListenQueue queue = socket.queue.value_or(ListenQueue{0, 0});
  return {{"name", socket.name},        {"proto", "uwsgi"}, {"queue", queue.waiting},
          {"max_queue", queue.longest}, {"shared", 0},      {"can_offload", 0}};
}

Json tls_json(const TlsStats& process) {
  return {{"id", process.number},
          {"pid", process.pid},
          {"accepting", process.accepting && !process.leaving ? 1 : 0},
          {"generation", process.generation},
          {"connections", process.figures.connections},
          {"handshaking", process.figures.handshaking},
          {"handshakes", process.figures.handshakes},
          {"failures", process.figures.failures}};
}

class PrometheusText {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    text_ += fmt::format("# HELP forktail_{} {}\n# TYPE forktail_{} {}\n", name, help, name, type);
  }
  template <typename Value>
  void sample(std::string_view name, const Value& value, const std::string& labels = "") {
    text_ += labels.empty() ? fmt::format("forktail_{} {}\n", name, value)
                            : fmt::format("forktail_{}{{{}}} {}\n", name, labels, value);
  }
  template <typename Value>
  void single(std::string_view name, std::string_view type, std::string_view help,
              const Value& value) {
    family(name, type, help);
    sample(name, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

Stats Stats::of_this_process() {
  Stats stats;
  stats.version = "forktail " FORKTAIL_VERSION;
  stats.pid = getpid();
  stats.uid = getuid();
  stats.gid = getgid();
  stats.cwd = directory_of_this_process();
  return stats;
}

void Counters::add(const Counters& other) {
  requests += other.requests;
  exceptions += other.exceptions;
  bytes += other.bytes;
  handle_us += other.handle_us;
  respawns += other.respawns;
  harakiris += other.harakiris;
  crashes += other.crashes;
  lost += other.lost;
  log_lines_dropped += other.log_lines_dropped;
  tls_handshakes += other.tls_handshakes;
  tls_failures += other.tls_failures;
  tls_respawns += other.tls_respawns;
}

Json to_json(const Stats& stats) {
  Json sockets = Json::array();
  int waiting = 0;
  for (const SocketStats& socket : stats.sockets) {
    sockets.push_back(socket_json(socket));
    waiting += socket.queue.value_or(ListenQueue{0, 0}).waiting;
  }
  Json workers = Json::array();
  std::uint64_t pss = 0;
  for (const WorkerStats& worker : stats.workers) {
    workers.push_back(worker_json(worker));
    pss += worker.memory.proportional;
  }
  Json tls = Json::array();
  for (const TlsStats& process : stats.tls) {
    tls.push_back(tls_json(process));
  }
  return {{"version", stats.version},
          {"listen_queue", waiting},
          {"listen_queue_errors", 0},
          {"signal_queue", 0},
          {"load", waiting},
          {"pid", stats.pid},
          {"uid", stats.uid},
          {"gid", stats.gid},
          {"cwd", stats.cwd},
          {"generation", stats.generation},
          {"fork_mode", stats.fork_mode},
          {"wanted", stats.wanted},
          {"pss", pss},
          {"requests", stats.totals.requests},
          {"exceptions", stats.totals.exceptions},
          {"respawns", stats.totals.respawns},
          {"crashes", stats.totals.crashes},
          {"harakiris", stats.totals.harakiris},
          {"requests_lost", stats.totals.lost},
          {"log_lines_dropped", stats.totals.log_lines_dropped},
          {"tls_handshakes", stats.totals.tls_handshakes},
          {"tls_failures", stats.totals.tls_failures},
          {"tls_respawns", stats.totals.tls_respawns},
          {"sockets", std::move(sockets)},
          {"workers", std::move(workers)},
          {"tls_processes", std::move(tls)}};
}

namespace {

void add_tls(const Stats& stats, PrometheusText& text) {
  text.single("tls_handshakes_total", "counter", "TLS handshakes done.",
              stats.totals.tls_handshakes);
  text.single("tls_failures_total", "counter",
              "TLS connections that ended before a worker had them.", stats.totals.tls_failures);
  text.single("tls_respawns_total", "counter", "TLS processes started in place of one that ended.",
              stats.totals.tls_respawns);
  std::uint64_t connections = 0;
  std::uint64_t handshaking = 0;
  for (const TlsStats& process : stats.tls) {
    connections += process.figures.connections;
    handshaking += process.figures.handshaking;
  }
  text.single("tls_connections", "gauge", "TLS connections that are open.", connections);
  text.single("tls_handshaking", "gauge", "Those of them that are in their handshake.",
              handshaking);
  text.family("tls_processes", "gauge", "TLS processes by what they are doing.");
  const auto leaving = std::count_if(stats.tls.begin(), stats.tls.end(),
                                     [](const TlsStats& process) { return process.leaving; });
  const auto accepting =
      std::count_if(stats.tls.begin(), stats.tls.end(),
                    [](const TlsStats& process) { return process.accepting && !process.leaving; });
  text.sample("tls_processes", accepting, "status=\"accepting\"");
  text.sample("tls_processes", leaving, "status=\"leaving\"");
}

}  // namespace

// https://prometheus.io/docs/instrumenting/exposition_formats/
std::string to_prometheus(const Stats& stats) {
  const Counters& totals = stats.totals;
  PrometheusText text;
  text.single("requests_total", "counter", "Requests answered.", totals.requests);
  text.single("exceptions_total", "counter", "Requests in which the application threw.",
              totals.exceptions);
  text.single("response_bytes_total", "counter", "Bytes of response bodies.", totals.bytes);
  text.single("handle_seconds_total", "counter", "Time spent in the application.",
              static_cast<double>(totals.handle_us) / 1e6);
  text.single("respawns_total", "counter", "Workers started in place of one that ended.",
              totals.respawns);
  text.single("crashes_total", "counter", "Workers that ended by a signal or an error.",
              totals.crashes);
  text.single("harakiris_total", "counter", "Workers killed for an overdue request.",
              totals.harakiris);
  text.single("requests_lost_total", "counter", "Requests that died with their worker.",
              totals.lost);
  text.single("log_lines_dropped_total", "counter", "Log lines that could not be written.",
              totals.log_lines_dropped);
  text.single("generation", "gauge", "The generation that serves.", stats.generation);
  text.single("workers_wanted", "gauge", "Workers that there should be.", stats.wanted);
  text.family("workers", "gauge", "Workers by what they are doing.");
  const auto leaves = [&](const WorkerStats& worker) {
    return worker.generation != stats.generation;
  };
  for (const std::string_view status : {"idle", "busy", "cheap", "leaving"}) {
    const auto count =
        std::count_if(stats.workers.begin(), stats.workers.end(), [&](const WorkerStats& worker) {
          return (leaves(worker) ? std::string_view("leaving") : status_of(worker)) == status;
        });
    text.sample("workers", count, fmt::format("status=\"{}\"", status));
  }
  text.family("worker_pss_bytes", "gauge", "Proportional memory of a worker.");
  for (const WorkerStats& worker : stats.workers) {
    if (!leaves(worker)) {  // which may have the number of another one
      text.sample("worker_pss_bytes", worker.memory.proportional,
                  fmt::format("worker=\"{}\"", worker.id));
    }
  }
  text.family("listen_queue", "gauge", "Connections that wait to be accepted.");
  for (const SocketStats& socket : stats.sockets) {
    if (socket.queue) {
      text.sample("listen_queue", socket.queue->waiting,
                  fmt::format("socket=\"{}\"", label(socket.name)));
    }
  }
  add_tls(stats, text);
  return text.take();
}

}  // namespace forktail::server
