#include "server/shared/options.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <sstream>

namespace forktail::server {

void set_fork_mode(Options& options, ForkMode mode) {
  options.fork_mode = mode;
  std::istringstream lines(options.as_ini);
  std::string changed;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("fork-mode ") && !line.starts_with("lazy-apps ")) {
      changed += line + "\n";
    }
  }
  options.as_ini = fmt::format("{}fork-mode = {}\n", changed, to_string(mode));
}

void apply_umask(const Options& options) {
  if (options.umask) {
    umask(*options.umask);
  }
}

void apply_environment(const Options& options) {
  for (const std::string& setting : options.env) {
    const std::size_t equals = setting.find('=');
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the one thread that there is
    setenv(setting.substr(0, equals).c_str(), setting.substr(equals + 1).c_str(), 1);
  }
}

std::vector<std::string_view> fixed_options_that_differ(const Options& a, const Options& b) {
  std::vector<std::string_view> names;
  const auto compare = [&](std::string_view name, const auto& mine, const auto& other) {
    if (mine != other) {
      names.push_back(name);
    }
  };
  compare("socket", a.sockets, b.sockets);
  compare("chmod-socket", a.chmod_socket, b.chmod_socket);
  compare("chown-socket", a.chown_socket, b.chown_socket);
  compare("listen", a.listen, b.listen);
  compare("uid", a.uid, b.uid);
  compare("gid", a.gid, b.gid);
  compare("chdir", a.chdir, b.chdir);
  compare("control", a.control, b.control);
  compare("stats", a.stats, b.stats);
  compare("chmod-stats", a.chmod_stats, b.chmod_stats);
  compare("stats-http", a.stats_http, b.stats_http);
  compare("pidfile", a.pidfile, b.pidfile);
  compare("logto", a.logto, b.logto);
  compare("log-format", a.log_format, b.log_format);
  return names;
}

}  // namespace forktail::server
