// What to do, in the words of each server.
#include <fmt/format.h>

#include "doctor/shared_files.h"

namespace forktail::doctor {

namespace {

// What is to be done after the fork; empty where another cure is the better one.
std::string_view action(Kind kind) {
  switch (kind) {
    case Kind::connection:
      return "connect";
    case Kind::epoll:
      return "make the event loop";
    case Kind::thread:
      return "start the thread";
    case Kind::interval_timer:
    case Kind::posix_timer:
      return "arm the timer";
    case Kind::file_lock:
      return "open the file and take the lock";
    case Kind::random:
      return "seed the generator, or make it";
    case Kind::socket:
    case Kind::eventfd:
    case Kind::timerfd:
    case Kind::signalfd:
    case Kind::inotify:
    case Kind::descriptor:
    case Kind::pipe:
      return "make it";
    case Kind::deleted_file:
      return "make the temporary file";
    case Kind::reading_position:
      return "if workers read from it: open it";
    default:
      return {};
  }
}

}  // namespace

std::string cure_for(Kind kind, Server server) {
  const ServerFacts& facts = facts_of(server);
  switch (kind) {
    case Kind::file:
      return fmt::format("open it with O_APPEND, or {}", facts.after_fork);
    case Kind::counter:
      return "count for all in a database or in shared memory, or use the request's id; loading "
             "lazily does not help";
    case Kind::address:
      return "use the pid, or the request's id; loading lazily does not surely help";
    case Kind::load_time:
      return fmt::format("take the time {}; or {}", facts.after_fork, facts.lazily);
    case Kind::load_value:
      return fmt::format("none is needed if all workers are to share it; else make it {}",
                         facts.after_fork);
    case Kind::shared_mapping:
      return "none is needed if it is meant";
    default:
      break;
  }
  const std::string_view what = action(kind);
  return what.empty() ? std::string(facts_of(kind).cure)
                      : fmt::format("{} {}; or {}", what, facts.after_fork, facts.lazily);
}

}  // namespace forktail::doctor
