#include "doctor/server_kind.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <set>

namespace forktail::doctor {

namespace {

constexpr std::array<ServerFacts, 7> kServers{{
    {Server::unknown, "a prefork server", "after the fork", "load the application after the fork"},
    {Server::uwsgi, "uWSGI", "after the fork: in a function with uwsgidecorators' @postfork",
     "lazy-apps = true"},
    {Server::gunicorn, "gunicorn", "after the fork: in gunicorn's hook post_fork",
     "no --preload (preload_app = False)"},
    {Server::php_fpm, "php-fpm", "in the request, not in what opcache.preload runs",
     "no opcache.preload"},
    {Server::apache, "Apache httpd", "after the fork: in the module's hook child_init",
     "load it in child_init"},
    {Server::puma, "Puma", "after the fork: in Puma's hook on_worker_boot", "no preload_app!"},
    {Server::forktail, "forktail", "in on_worker_start(), or in a forktail::per_worker",
     "fork-mode = lazy"},
}};

bool maps_hold(const std::string& maps, std::string_view text) {
  return maps.find(text) != std::string::npos;
}

bool opens(const std::vector<OpenFile>& files, std::string_view text) {
  return std::any_of(files.begin(), files.end(), [&](const OpenFile& file) {
    return file.link.find(text) != std::string::npos;
  });
}

// The word that forktail's processes call themselves by: "NAME: worker 3, generation 1".
bool calls_itself(const Process& process, std::string_view word) {
  return process.command.find(fmt::format(": {}", word)) != std::string::npos;
}

// uWSGI's mules and routers are forked as its workers are, and do not accept what those accept.
std::set<pid_t> accepting_processes(const std::set<pid_t>& forked,
                                    const std::vector<OpenFile>& files,
                                    const SocketTable& sockets) {
  std::set<pid_t> most;
  std::size_t size = 0;
  for (const OpenFile& file : files) {
    const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets.find(file.inode) : nullptr;
    if (facts == nullptr || !facts->listening) {
      continue;
    }
    std::set<pid_t> holders;
    for (const auto& [pid, numbers] : file.holders) {
      if (forked.contains(pid)) {
        holders.insert(pid);
      }
    }
    if (holders.size() > size) {
      size = holders.size();
      most.clear();
    }
    if (holders.size() == size) {
      most.insert(holders.begin(), holders.end());
    }
  }
  return size == 0 ? forked : most;
}

}  // namespace

const ServerFacts& facts_of(Server server) { return kServers[static_cast<std::size_t>(server)]; }

Server recognize(const Process& master, const std::vector<OpenFile>& files) {
  const std::string maps = read_whole(fmt::format("/proc/{}/maps", master.pid));
  if (maps_hold(maps, "/memfd:the workers' slots")) {
    return Server::forktail;
  }
  if (maps_hold(maps, "/puma_http11.so")) {
    return Server::puma;
  }
  // The file by whose time a worker of gunicorn shows that it lives.
  if (opens(files, "/wgunicorn-")) {
    return Server::gunicorn;
  }
  if (maps_hold(maps, "/pyuwsgi") || program_holds(master.pid, "*** Starting uWSGI")) {
    return Server::uwsgi;
  }
  if (program_holds(master.pid, "ap_scoreboard_image")) {
    return Server::apache;
  }
  if (program_holds(master.pid, "fpm_scoreboard") || program_holds(master.pid, "fpm_pctl")) {
    return Server::php_fpm;
  }
  return Server::unknown;
}

bool Family::is_worker(pid_t pid) const {
  return std::any_of(workers.begin(), workers.end(),
                     [pid](const Process& worker) { return worker.pid == pid; });
}

std::vector<pid_t> Family::worker_pids() const {
  std::vector<pid_t> pids;
  for (const Process& worker : workers) {
    pids.push_back(worker.pid);
  }
  return pids;
}

std::vector<pid_t> Family::all_pids() const {
  std::vector<pid_t> pids{master.pid};
  for (const auto* part : {&workers, &others}) {
    for (const Process& process : *part) {
      pids.push_back(process.pid);
    }
  }
  return pids;
}

bool Family::is_forked_helper(pid_t pid) const {
  return std::any_of(others.begin(), others.end(), [&](const Process& other) {
    return other.pid == pid && other.program == master.program;
  });
}

Family family_of(const Process& master, const std::vector<Process>& descendants, Server server,
                 const std::vector<OpenFile>& files, const SocketTable& sockets) {
  Family family;
  family.server = server;
  family.master = family.loader = master;
  std::set<pid_t> forked;
  for (const Process& process : descendants) {
    if (!process.program.empty() && process.program == master.program) {
      forked.insert(process.pid);
    }
  }
  // php-fpm's pools each have a listener of their own, and nothing else is forked from its master.
  const std::set<pid_t> accepting =
      server == Server::php_fpm ? forked : accepting_processes(forked, files, sockets);
  for (const Process& process : descendants) {
    const bool works = server == Server::forktail ? calls_itself(process, "worker ")
                                                  : accepting.contains(process.pid);
    (works ? family.workers : family.others).push_back(process);
    if (server == Server::forktail && calls_itself(process, "template")) {
      family.loader = process;
    }
  }
  return family;
}

}  // namespace forktail::doctor
