// Which server is it? What each server shares among its workers on purpose is told from what its
// application has left there by knowing the server.
//
// Reads /proc; by any process and thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/open_file.h"
#include "doctor/process.h"
#include "doctor/socket_table.h"

namespace forktail::doctor {

enum class Server : std::uint8_t { unknown, uwsgi, gunicorn, php_fpm, apache, puma, forktail };

struct ServerFacts {
  Server server;
  std::string_view name;
  std::string_view after_fork;  // where to make what is each worker's own
  std::string_view lazily;      // how to load the application in each worker
};

const ServerFacts& facts_of(Server server);

// The server whose master is `master`, told by what it is: its program, the libraries and the
// memory that it has mapped, the files that it has open; never by its name.
Server recognize(const Process& master, const std::vector<OpenFile>& files);

// A master and its descendants. Workers are those that execute the master's own program and accept
// from the listener that most of these have; where none has one, all that execute it. `loader` is
// where the application was loaded before the fork: the master, or forktail's template.
struct Family {
  Server server = Server::unknown;
  Process master;
  Process loader;
  std::vector<Process> workers;
  std::vector<Process> others;  // log writers, mules, routers, templates

  [[nodiscard]] bool is_worker(pid_t pid) const;
  // One of the others that was forked from the master and executes its program.
  [[nodiscard]] bool is_forked_helper(pid_t pid) const;
  [[nodiscard]] std::vector<pid_t> worker_pids() const;
  [[nodiscard]] std::vector<pid_t> all_pids() const;
};

Family family_of(const Process& master, const std::vector<Process>& descendants, Server server,
                 const std::vector<OpenFile>& files, const SocketTable& sockets);

}  // namespace forktail::doctor
