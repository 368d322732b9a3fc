#include "cli/serve_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include "cli/ini.h"
#include "cli/values.h"
#include "log/target.h"
#include "wire/address.h"

namespace forktail::cli {

namespace {

using server::Options;

constexpr const char* kWhat = "What to serve";
constexpr const char* kSockets = "Sockets";
constexpr const char* kLimits = "Limits";
constexpr const char* kWorkers = "Workers that come and go";
constexpr const char* kProcess = "Process";
constexpr const char* kLogs = "Logs";
constexpr const char* kConfigNames = "-c,--config,--ini,config";

// An option whose value `convert` reads.
template <typename T>
CLI::Option* add(CLI::App& app, const std::string& name, T& target,
                 T (*convert)(const std::string&, const std::string&), const std::string& help) {
  const std::size_t start = name.find("--") + 2;  // past a short name
  const std::string bare = name.substr(start, name.find(',', start) - start);
  return app.add_option_function<std::string>(
      name, [&target, convert, bare](const std::string& text) { target = convert(bare, text); },
      help);
}

void check_env(const std::string& setting) {
  const std::string name = setting.substr(0, setting.find('='));
  if (name.size() == setting.size() || name.empty()) {
    throw CLI::ValidationError("env", fmt::format("`{}` is not NAME=VALUE", setting));
  }
  // Nobody would ever look for such a variable.
  if (std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '"' || c == '\''; })) {
    throw CLI::ValidationError(
        "env", fmt::format("`{}` would set a variable named `{}`: write NAME=VALUE without quotes "
                           "around it and without blanks at the =",
                           setting, name));
  }
  if (setting.find('\n') != std::string::npos) {
    throw CLI::ValidationError(
        "env",
        fmt::format("`{}` has a line break: set it in the server's own environment", setting));
  }
}

std::optional<mode_t> optional_mode(const std::string& option, const std::string& text) {
  return parse_mode(option, text);
}

std::uint32_t packet_size(const std::string& option, const std::string& text) {
  const std::uint64_t size = parse_size(option, text);
  if (size == 0 || size > 65535) {
    throw CLI::ValidationError(
        option,
        fmt::format("`{}` is not 1 to 65535, which is all that a uwsgi packet can have", text));
  }
  return static_cast<std::uint32_t>(size);
}

// One of a few words.
template <typename T>
T choose(const std::string& option, const std::string& text,
         const std::map<std::string, T>& words) {
  const auto found = words.find(text);
  if (found == words.end()) {
    std::string all;
    for (const auto& [word, value] : words) {
      all += (all.empty() ? "" : ", ") + word;
    }
    throw CLI::ValidationError(option, fmt::format("`{}` is none of: {}", text, all));
  }
  return found->second;
}

ForkMode fork_mode(const std::string& option, const std::string& text) {
  return choose<ForkMode>(
      option, text,
      {{"preload", ForkMode::preload}, {"lazy", ForkMode::lazy}, {"exec", ForkMode::exec}});
}

log::Format log_format(const std::string& option, const std::string& text) {
  return choose<log::Format>(option, text,
                             {{"json", log::Format::json}, {"text", log::Format::text}});
}

server::ForkAudit fork_audit(const std::string& option, const std::string& text) {
  using server::ForkAudit;
  return choose<ForkAudit>(
      option, text,
      {{"warn", ForkAudit::warn}, {"fail", ForkAudit::fail}, {"off", ForkAudit::off}});
}

bool log_group(const std::string& option, const std::string& text) {
  return choose<bool>(option, text, {{"line", false}, {"request", true}});
}

server::Scheduling scheduling(const std::string& option, const std::string& text) {
  return choose<server::Scheduling>(
      option, text,
      {{"batch", server::Scheduling::batch}, {"inherit", server::Scheduling::inherit}});
}

void declare_what(CLI::App& app, Options& options) {
  app.add_option("--app", options.app, "the application: path of a shared object (.so)")
      ->type_name("FILE");
  app.add_option("-p,--processes,--workers", options.processes, "worker processes (default 1)")
      ->check(in_range(1, 1000))
      ->type_name("N");
  app.add_option("--threads", options.threads, "threads in each worker (default 1)")
      ->check(in_range(1, 1000))
      ->type_name("N");
  add(app, "--fork-mode", options.fork_mode, fork_mode,
      "where the application is loaded: `preload` once, before the fork; `lazy` in each worker; "
      "`exec` in each worker, in an address space of its own (default: preload)")
      ->type_name("preload|lazy|exec");
  add(app, "--fork-audit", options.fork_audit, fork_audit,
      "in preload mode, what to do when a load leaves something that the fork duplicates: `warn` "
      "in the log (default), `fail` the load, `off`")
      ->type_name("warn|fail|off");
  app.add_flag_callback(
      "--lazy-apps,--lazy", [&options] { options.fork_mode = ForkMode::lazy; },
      "uWSGI's name for fork-mode = lazy");
}

void declare_sockets(CLI::App& app, Options& options) {
  app.add_option("-s,--socket,--uwsgi-socket", options.sockets,
                 "where to listen: a unix socket's path, @abstract, or host:port; may be repeated")
      ->allow_extra_args(false)  // or the configuration file would be another one
      ->type_name("ADDRESS");
  add(app, "--chmod-socket,--chmod", options.chmod_socket, optional_mode,
      "mode of the unix sockets, such as 660 (default: what the umask leaves)")
      ->type_name("MODE");
  app.add_option("--chown-socket", options.chown_socket,
                 "owner of the unix sockets (default: who starts the server)")
      ->type_name("USER[:GROUP]");
  app.add_option("-l,--listen", options.listen,
                 "length of the listen queue (default: what the kernel allows)")
      ->check(in_range(1, 1000000))
      ->type_name("N");
  app.add_option("--tls-cert", options.tls_cert,
                 "certificate (PEM, with its chain): all TCP sockets speak TLS")
      ->type_name("FILE");
  app.add_option("--tls-key", options.tls_key, "the certificate's key (PEM)")->type_name("FILE");
  app.add_option("--tls-client-ca", options.tls_client_ca,
                 "CAs (PEM) whose certificates clients must have")
      ->type_name("FILE");
  app.add_option("--tls-processes", options.tls_processes,
                 "processes that speak TLS, in front of all workers (default 1)")
      ->check(in_range(1, 64))
      ->type_name("N");
  app.add_flag("--plain-tcp", options.plain_tcp,
               "allow TCP sockets that other machines can reach, without TLS");
}

void declare_limits(CLI::App& app, Options& options) {
  add(app, "-b,--buffer-size", options.buffer_size, packet_size,
      "largest packet of variables (default 65535, which is the most)")
      ->type_name("SIZE");
  add(app, "--body-limit", options.body_limit, parse_size,
      "largest body of a request (default 64m)")
      ->type_name("SIZE");
  add(app, "--post-buffering", options.post_buffering, parse_size,
      "largest body that is kept in memory; a larger one goes to a temporary file (default 1m)")
      ->type_name("SIZE");
  add(app, "--socket-timeout", options.socket_timeout, parse_duration,
      "how long to wait for the web server while reading and writing (default 4s)")
      ->type_name("TIME");
  add(app, "--keepalive-timeout", options.keepalive_timeout, parse_duration,
      "how long an idle connection is kept (default 75s; more than the web server's; 0: none is "
      "kept)")
      ->type_name("TIME");
  add(app, "--worker-reload-mercy", options.worker_reload_mercy, parse_duration,
      "how long a worker that is replaced may take to finish before it is killed (default 60s)")
      ->type_name("TIME");
  add(app, "--reload-mercy", options.reload_mercy, parse_duration,
      "how long the workers may take to finish at a reload or stop before they are killed (default "
      "60s)")
      ->type_name("TIME");
  add(app, "--upgrade-timeout", options.upgrade_timeout, parse_duration,
      "how long a new binary may take to serve before the upgrade is given up (default 60s)")
      ->type_name("TIME");
  add(app, "--start-timeout", options.start_timeout, parse_duration,
      "how long a generation, or a worker that is started later, may take to become ready (default "
      "60s; 0: for ever)")
      ->type_name("TIME");
  add(app, "--harakiri", options.harakiri, parse_duration,
      "how long a request may take before on_timeout is called (default 0: for ever)")
      ->type_name("TIME");
  add(app, "--harakiri-grace", options.harakiri_grace, parse_duration,
      "how much longer before its worker is killed (default 5s)")
      ->type_name("TIME");
  add(app, "--slow-request", options.slow_request, parse_duration,
      "log a warning for each request that takes longer (default 0: for none)")
      ->type_name("TIME");
  app.add_flag("--trust-header-id", options.trust_header_id,
               "take the id from X-Request-ID when the web server sends no REQUEST_ID");
}

void declare_workers(CLI::App& app, Options& options) {
  add(app, "--max-requests", options.max_requests, parse_count,
      "replace a worker after so many requests (default 0: never)")
      ->type_name("N");
  add(app, "--max-requests-delta", options.max_requests_delta, parse_count,
      "a random part of this is added to max-requests for each worker (default 0)")
      ->type_name("N");
  add(app, "--max-worker-lifetime", options.max_worker_lifetime, parse_duration,
      "replace a worker after this time (default 0: never)")
      ->type_name("TIME");
  add(app, "--reload-on-rss", options.reload_on_rss, parse_megabytes,
      "replace a worker that has more memory than this; without a unit it is megabytes, as with "
      "uWSGI (default 0: never)")
      ->type_name("SIZE");
  app.add_option("--cheaper", options.cheaper,
                 "fewest workers; up to `processes` as the load asks (default: always as many)")
      ->check(in_range(1, 1000))
      ->type_name("N");
  app.add_option("--cheaper-initial", options.cheaper_initial,
                 "workers at the start (default: cheaper)")
      ->check(in_range(1, 1000))
      ->type_name("N");
  app.add_option("--touch-reload", options.touch_reload,
                 "reload when this file is touched or replaced; may be repeated")
      ->allow_extra_args(false)
      ->type_name("FILE");
}

void declare_process(CLI::App& app, Options& options) {
  app.add_option("--uid", options.uid, "user to become once the sockets are bound");
  app.add_option("--gid", options.gid,
                 "group to become once the sockets are bound (default: that of uid)");
  app.add_flag("--allow-root", options.allow_root, "let the application run as root");
  add(app, "--umask", options.umask, optional_mode, "umask of processes (default: the caller's)")
      ->type_name("MODE");
  app.add_option("--chdir", options.chdir,
                 "directory to change to before the application is loaded")
      ->type_name("DIR");
  app.add_option("--env", options.env, "set an environment variable; may be repeated")
      ->allow_extra_args(false)
      ->each(check_env)
      ->type_name("NAME=VALUE");
  add(app, "--scheduling", options.scheduling, scheduling,
      "policy of the threads that serve: `batch` never interrupts whoever runs when it is woken, "
      "`inherit` is the server's own (default: inherit)")
      ->type_name("batch|inherit");
  app.add_option("--control", options.control,
                 "unix socket for `forktail ctl`; only this user may connect")
      ->type_name("PATH");
  app.add_option("--stats,--stats-server", options.stats,
                 "address that gives one JSON object to whoever connects (uWSGI's format)")
      ->type_name("ADDRESS");
  add(app, "--chmod-stats", options.chmod_stats, optional_mode,
      "mode of the stats socket, such as 660 (default: what the umask leaves)")
      ->type_name("MODE");
  app.add_option("--stats-http", options.stats_http,
                 "address for HTTP: / gives the JSON object, /metrics Prometheus text")
      ->type_name("HOST:PORT");
  app.add_option("--pidfile", options.pidfile, "file to write the master's pid to")
      ->type_name("FILE");
  app.add_option("--procname-prefix,--procname-prefix-spaced", options.procname_prefix,
                 "what stands before the processes' names in ps")
      ->type_name("TEXT");
}

void declare_logs(CLI::App& app, Options& options) {
  app.add_option("--logto", options.logto, "file to append the log to (default: standard error)")
      ->type_name("FILE");
  add(app, "--log-format", options.log_format, log_format, "`json` (default) or `text`")
      ->type_name("json|text");
  app.add_option("--log-level", options.log_level,
                 "least level to log: trace, debug, info (default), warn, error, critical, off")
      ->check(CLI::IsMember(
          std::set<std::string>{"trace", "debug", "info", "warn", "error", "critical", "off"}))
      ->type_name("trace|debug|info|warn|error|critical|off");
  add(app, "--log-group", options.log_groups, log_group,
      "when lines are written: each at once (`line`, default), or those of a request together when "
      "it ends (`request`)")
      ->type_name("line|request");
  app.add_flag("--disable-logging", options.disable_logging, "no line for each request");
}

void check_complete(const Options& options, bool sockets_are_handed_over) {
  if (options.app.empty()) {
    throw CLI::ValidationError("app",
                               "is missing: give the application's shared object with --app");
  }
  if (options.sockets.empty() && !sockets_are_handed_over) {
    throw CLI::ValidationError(
        "socket", "is missing: give at least one with --socket, or have systemd hand one over");
  }
  if (!options.control.empty() && !wire::names_path(options.control)) {
    throw CLI::ValidationError(
        "control", fmt::format("`{}` is not a path: whoever may connect there controls the server, "
                               "so it must be a file, such as /run/forktail.ctl",
                               options.control));
  }
  if (wire::names_path(options.stats_http)) {
    throw CLI::ValidationError(
        "stats-http", fmt::format("`{}` is not host:port, such as 127.0.0.1:9191; the JSON on a "
                                  "unix socket is `stats`",
                                  options.stats_http));
  }
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    throw CLI::ValidationError(options.tls_cert.empty() ? "tls-cert" : "tls-key",
                               "is missing: tls-cert and tls-key go together");
  }
  if (!options.tls_client_ca.empty() && options.tls_cert.empty()) {
    throw CLI::ValidationError("tls-client-ca", "needs tls-cert and tls-key");
  }
  if (std::max(options.cheaper, options.cheaper_initial) > options.processes) {
    throw CLI::ValidationError(
        "cheaper", fmt::format("cheaper and cheaper-initial can not be above processes ({})",
                               options.processes));
  }
}

// In groups, as --help shows them.
void declare_group(CLI::App& app, const char* name, void (*declare)(CLI::App&, Options&),
                   Options& options) {
  const std::vector<CLI::Option*> before = app.get_options();
  declare(app, options);
  const std::set<CLI::Option*> old(before.begin(), before.end());
  for (CLI::Option* option : app.get_options()) {
    if (!old.contains(option)) {
      option->group(name);
    }
  }
}

// The files of the server itself, where `directory` is where it was started: some are opened before
// `chdir` and again after it, and stay the same ones. The application's are found after it.
std::map<std::string, std::string*> own_files(Options& options) {
  return {{"control", &options.control},
          {"logto", &options.logto},
          {"pidfile", &options.pidfile},
          {"stats", &options.stats},
          {"tls-cert", &options.tls_cert},
          {"tls-key", &options.tls_key},
          {"tls-client-ca", &options.tls_client_ca}};
}

void anchor(const std::string& name, std::string& value, const std::filesystem::path& directory) {
  const bool is_file = name == "logto"   ? !log::means_stderr(value)
                       : name == "stats" ? wire::names_path(value)
                                         : !value.empty();
  if (is_file) {
    constexpr std::string_view kPrefix = "unix:";
    value = (directory / value.substr(value.starts_with(kPrefix) ? kPrefix.size() : 0)).string();
  }
}

// What was given, as a [forktail] section: the file's settings, but for those that the arguments
// make, and `own`, which are as they are there.
std::string merged_ini(const CLI::App& from_file, const CLI::App& from_arguments,
                       const std::map<std::string, std::string*>& own) {
  std::string text = "[forktail]\n";
  for (const CLI::Option* option : from_file.get_options()) {
    const std::string name = option->get_single_name();
    const CLI::Option* argument = from_arguments.get_option_no_throw("--" + name);
    const bool overridden = argument != nullptr && argument->count() > 0;
    for (const std::string& value : (overridden ? argument : option)->results()) {
      text += fmt::format("{} = {}\n", name, own.contains(name) ? *own.at(name) : value);
    }
  }
  return text;
}

void parse_ini(CLI::App& app, std::istream& input, const std::string& file) {
  app.config_formatter(std::make_shared<Ini>(app, file));
  app.parse_from_stream(input);
}

}  // namespace

void declare_config_option(CLI::App& app, std::string& file) {
  app.add_option(kConfigNames, file,
                 "INI file with a [forktail] or [uwsgi] section; arguments win over it")
      ->type_name("FILE");
}

void declare_serve_options(CLI::App& app, Options& options) {
  declare_group(app, kWhat, declare_what, options);
  declare_group(app, kSockets, declare_sockets, options);
  declare_group(app, kLimits, declare_limits, options);
  declare_group(app, kWorkers, declare_workers, options);
  declare_group(app, kProcess, declare_process, options);
  declare_group(app, kLogs, declare_logs, options);
}

Options read_serve_options(const std::vector<std::string>& arguments, const std::string& directory,
                           bool sockets_are_handed_over) {
  Options options;
  std::string file;
  // CLI11 takes them last first.
  const std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());

  // The arguments are read twice: first to find the file, then to win over it.
  CLI::App from_arguments;
  declare_serve_options(from_arguments, options);
  declare_config_option(from_arguments, file);
  from_arguments.parse(std::vector<std::string>(reversed));

  options = {};
  CLI::App from_file;
  declare_serve_options(from_file, options);
  if (!file.empty()) {
    std::ifstream input(std::filesystem::path(directory) / file);
    if (!input) {
      throw CLI::FileError(file + ": cannot be read");
    }
    parse_ini(from_file, input, file);
  }
  from_arguments.parse(std::vector<std::string>(reversed));
  check_complete(options, sockets_are_handed_over);
  const std::map<std::string, std::string*> own = own_files(options);
  for (const auto& [name, value] : own) {
    anchor(name, *value, directory);
  }
  options.as_ini = merged_ini(from_file, from_arguments, own);
  server::set_fork_mode(options, options.fork_mode);  // of several ways to say it, one is left
  return options;
}

Options read_options_text(const std::string& ini) {
  Options options;
  CLI::App app;
  declare_serve_options(app, options);
  std::istringstream input(ini);
  parse_ini(app, input, "handed-over options");
  return options;
}

}  // namespace forktail::cli
