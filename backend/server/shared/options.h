// Everything that can be set for `forktail serve`. Filled from the command line and the INI file
// before any process is forked, and constant from then on; a reload makes a new one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "forktail/context.h"
#include "log/sink.h"
#include "server/os/scheduling.h"

namespace forktail::server {

class TlsFiles;

// What is done about a load that leaves something behind which a fork duplicates.
enum class ForkAudit { warn, fail, off };

struct Options {
  using Duration = std::chrono::milliseconds;

  std::string app;
  ForkMode fork_mode = ForkMode::preload;
  ForkAudit fork_audit = ForkAudit::warn;  // in preload mode
  int processes = 1;
  int threads = 1;

  std::vector<std::string> sockets;
  std::optional<mode_t> chmod_socket;
  std::string chown_socket;  // USER[:GROUP]
  int listen = 0;            // 0: as long as the kernel allows (net.core.somaxconn)
  bool plain_tcp = false;
  std::string tls_cert;  // PEM files; empty: TCP sockets are plain
  std::string tls_key;
  std::string tls_client_ca;
  std::shared_ptr<const TlsFiles> tls;  // what these hold; null: none
  int tls_processes = 1;

  std::uint32_t buffer_size = 65535;
  std::uint64_t body_limit = 64U << 20;
  std::uint64_t post_buffering = 1U << 20;  // larger bodies go to a temporary file
  Duration socket_timeout{4000};
  Duration keepalive_timeout{75000};  // above the 60 s of nginx, which must be the one that closes
  bool trust_header_id = false;

  Duration harakiri{0};  // 0: never
  Duration harakiri_grace{5000};
  Duration slow_request{0};  // 0: none is called slow
  std::uint64_t max_requests = 0;
  std::uint64_t max_requests_delta = 0;
  Duration max_worker_lifetime{0};
  std::uint64_t reload_on_rss = 0;  // bytes
  int cheaper = 0;                  // fewest workers; 0: always `processes`
  int cheaper_initial = 0;          // 0: as many as cheaper
  Duration worker_reload_mercy{60000};
  Duration reload_mercy{60000};
  Duration upgrade_timeout{60000};
  Duration start_timeout{60000};  // 0: for ever
  std::vector<std::string> touch_reload;

  std::string uid;
  std::string gid;
  bool allow_root = false;  // the application may run as root
  std::optional<mode_t> umask;
  std::string chdir;
  std::vector<std::string> env;  // NAME=VALUE
  std::string pidfile;
  std::string procname_prefix;
  std::string control;     // path of the control socket; empty: none
  std::string stats;       // address of the stats socket; empty: none
  std::string stats_http;  // host:port; empty: none
  std::optional<mode_t> chmod_stats;
  Scheduling scheduling = Scheduling::inherit;

  std::string logto;  // a path; empty: stderr
  log::Format log_format = log::Format::json;
  std::string log_level = "info";
  bool disable_logging = false;  // no `event=request` lines
  bool log_groups = false;       // `log-group = request`

  // The same options as INI text, for a worker that is exec'ed.
  std::string as_ini;

  bool operator==(const Options&) const = default;
};

// Changes the mode in `options` and in its INI text.
void set_fork_mode(Options& options, ForkMode mode);

// Give the calling process, which has one thread, `umask` and `env`. The master has no part in
// `env`: each template adds what its generation's options say to what the server was started with.
void apply_umask(const Options& options);
void apply_environment(const Options& options);

// The names of the options that differ and that a server takes at its start only.
std::vector<std::string_view> fixed_options_that_differ(const Options& a, const Options& b);

}  // namespace forktail::server
