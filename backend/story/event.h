// One line of a log, understood: what the readers make and all else works on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "story/time.h"

namespace forktail::story {

enum class Kind : std::uint8_t {
  plain,        // a line of text that holds an id, or belongs to a line that does
  access,       // nginx's (or any web server's) line about a finished request
  nginx_error,  // nginx's error log
  app,          // the application's own line, ours or foreign
  request,      // the server's line about a finished request
  server,       // another line of the server's: crash, lost, harakiri, slow ...
  death,        // of a process, as uWSGI, gunicorn, nginx or the kernel tells it
};

struct Upstream {
  std::string address;
  int status = 0;  // 0: none came
  Micros connect = kUnknown;
  Micros header = kUnknown;
  Micros response = kUnknown;
};

struct Event {
  Kind kind = Kind::plain;
  bool drawn = false;   // bears no id; belongs by process and time
  bool broken = false;  // the line is not what its format says: torn, or bad JSON
  Stamp stamp;
  Micros placed = kUnknown;  // on the request's clock: a coarse stamp's likeliest time
  std::string id;
  std::string trace_id;
  std::string span_id;
  std::string level;
  std::string message;
  std::string event;    // the server's name of it
  std::string service;  // who logged it, as compose, Kubernetes or journald say
  int pid = 0;
  int tid = 0;
  int worker = 0;
  int generation = 0;
  std::int64_t seq = -1;
  std::int64_t connection = 0;
  std::string client;
  std::string host;
  std::string method;
  std::string path;
  int status = -1;  // 0: the request got none
  std::int64_t bytes = -1;
  // An access line's.
  Micros duration = kUnknown;
  Micros nginx_queue = kUnknown;
  std::vector<Upstream> upstreams;
  // A server line's phases.
  Micros queue = kUnknown;
  Micros read = kUnknown;
  Micros handle = kUnknown;
  Micros write = kUnknown;
  // What a line of the master's says of another process.
  int of_worker = 0;
  int of_pid = 0;
  std::string how;    // "killed by SIGSEGV"
  std::string state;  // of the request: "handling"
  Micros age = kUnknown;
  // Where it stands.
  int source = 0;
  std::uint64_t offset = 0;
  std::string raw;
};

}  // namespace forktail::story
