#include "doctor/purpose.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

namespace forktail::doctor {

namespace {

// All that hold the other end of a pipe or of a pair of sockets.
std::vector<pid_t> holders_of_other_end(const OpenFile& file, const std::vector<OpenFile>& files,
                                        const SocketTable& sockets) {
  std::vector<pid_t> holders;
  const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets.find(file.inode) : nullptr;
  for (const OpenFile& other : files) {
    const bool other_end_of_pipe = S_ISFIFO(file.mode) && S_ISFIFO(other.mode) &&
                                   other.inode == file.inode &&
                                   (other.flags & O_ACCMODE) != (file.flags & O_ACCMODE);
    const bool other_end_of_pair = facts != nullptr && facts->peer_inode != 0 &&
                                   S_ISSOCK(other.mode) && other.inode == facts->peer_inode;
    if (other_end_of_pipe || other_end_of_pair) {
      for (const auto& [pid, numbers] : other.holders) {
        holders.push_back(pid);
      }
    }
  }
  return holders;
}

// A file that nothing is ever written to: its kind, its number and the master's pid are its name
// ("mpm-accept-0.4711"); or one of the C library's memory that is no file any more.
bool is_mutex_of_apache(const OpenFile& file, pid_t master) {
  const std::string path = file.path();
  const std::string end = "." + std::to_string(master);
  if (path.ends_with(end) && file.position == 0) {
    const std::string_view name = std::string_view(path).substr(0, path.size() - end.size());
    const std::string_view number = name.substr(name.rfind('-') + 1);
    return number.size() < name.size() && !number.empty() &&
           number.find_first_not_of("0123456789") == std::string_view::npos;
  }
  return file.deleted() && path.find("mutex") != std::string::npos;
}

bool is_standard_stream(const OpenFile& file) {
  return std::any_of(file.holders.begin(), file.holders.end(),
                     [](const auto& holder) { return holder.second.front() <= STDERR_FILENO; });
}

// php-fpm keeps its standard error as it was given beside the log to which it has turned it: the
// last descriptor that it makes before that log, and after all that opcache.preload has made.
const OpenFile* stderr_of_fpm(const Family& family, const std::vector<OpenFile>& files) {
  const auto of_master = [&](const OpenFile& file) {
    const auto holder = file.holders.find(family.master.pid);
    return holder == file.holders.end() ? -1 : holder->second.back();
  };
  constexpr unsigned kLog = O_APPEND | O_CLOEXEC;
  int log = -1;
  for (const OpenFile& file : files) {
    if (file.holders.size() == 1 && (file.flags & kLog) == kLog) {
      log = std::max(log, of_master(file));
    }
  }
  const OpenFile* last = nullptr;
  for (const OpenFile& file : files) {
    const int descriptor = of_master(file);
    if (descriptor > STDERR_FILENO && descriptor < log && file.writable() &&
        (file.flags & O_CLOEXEC) == 0 && (last == nullptr || descriptor > of_master(*last))) {
      last = &file;
    }
  }
  return last;
}

bool is_lock_of_opcache(const OpenFile& file) {
  return file.deleted() && file.link.find("/.ZendSem.") != std::string::npos;
}

}  // namespace

bool has_gunicorn_control(const Family& family, const std::vector<OpenFile>& files,
                          const SocketTable& sockets) {
  return family.server == Server::gunicorn &&
         std::any_of(files.begin(), files.end(), [&](const OpenFile& file) {
           const SocketFacts* facts = file.held_by(family.master.pid) && S_ISSOCK(file.mode)
                                          ? sockets.find(file.inode)
                                          : nullptr;
           return facts != nullptr && facts->is_unix && facts->listening &&
                  facts->local.ends_with(".ctl");
         });
}

Purposes::Purposes(const Family& family, const std::vector<OpenFile>& files,
                   const SocketTable& sockets)
    : family_(family),
      files_(files),
      sockets_(sockets),
      outside_(family.all_pids()),
      saved_stderr_(family.server == Server::php_fpm ? stderr_of_fpm(family, files) : nullptr),
      gunicorn_controls_(has_gunicorn_control(family, files, sockets)) {}

Purposes::Purpose Purposes::of(const OpenFile& file) {
  if (const auto purpose = of_any_server(file)) {
    return purpose;
  }
  if (const auto purpose = of_this_server(file)) {
    return purpose;
  }
  if (outside_.hold(file)) {
    return "given by who started the server";
  }
  return std::nullopt;
}

Purposes::Purpose Purposes::of_any_server(const OpenFile& file) const {
  if (is_standard_stream(file)) {
    return "standard stream";
  }
  if (S_ISCHR(file.mode)) {
    return "device";
  }
  if (S_ISDIR(file.mode) || (file.flags & O_PATH) != 0) {
    return "folder";
  }
  if (S_ISREG(file.mode) && file.writable() && (file.flags & O_APPEND) != 0 && !file.deleted()) {
    return kLog;
  }
  if (file.link.starts_with("/memfd:")) {
    return "shared memory";  // told with the mappings
  }
  const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets_.find(file.inode) : nullptr;
  if (facts != nullptr && facts->listening) {
    return "listener";
  }
  return leads_out(file) ? Purpose("channel to the master") : std::nullopt;
}

// A pipe or a socket pair whose other end no worker has: the server's own channel to its master, to
// uWSGI's mules, or to the programs that write Apache's logs. What an application makes before the
// fork, its workers have both ends of; and a helper program that it started is a peer as any other.
bool Purposes::leads_out(const OpenFile& file) const {
  const std::vector<pid_t> ends = holders_of_other_end(file, files_, sockets_);
  return !ends.empty() && std::all_of(ends.begin(), ends.end(), [&](pid_t pid) {
    const bool helps = family_.server == Server::apache ||
                       (family_.server == Server::uwsgi && family_.is_forked_helper(pid));
    const bool leads = pid == family_.master.pid || pid == family_.loader.pid;
    return !family_.is_worker(pid) && (leads || helps);
  });
}

bool Purposes::only(std::string_view row, const OpenFile& file) {
  const OpenFile& taken = *taken_.try_emplace(row, &file).first->second;
  // All epoll instances have one inode: of those, one is one.
  const bool other_end_of_pipe =
      S_ISFIFO(file.mode) && S_ISFIFO(taken.mode) && file.inode == taken.inode;
  const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets_.find(file.inode) : nullptr;
  const bool other_of_pair = facts != nullptr && facts->peer_inode == taken.inode;
  return &taken == &file || other_end_of_pipe || other_of_pair;
}

// The master has it too, and no program that is executed is to inherit it: as servers make things.
bool Purposes::made_by_master(const OpenFile& file) const {
  return file.held_by(family_.master.pid) && (file.flags & O_CLOEXEC) != 0;
}

Purposes::Purpose Purposes::of_this_server(const OpenFile& file) {
  switch (family_.server) {
    case Server::uwsgi:
      return of_uwsgi(file);
    case Server::gunicorn:
      return of_gunicorn(file);
    case Server::apache:
      return of_apache(file);
    case Server::php_fpm:
      return of_php_fpm(file);
    case Server::forktail:
      // Its master runs no application code: what the master holds is the server's own.
      return file.held_by(family_.master.pid) ? Purpose("forktail's own") : std::nullopt;
    default:
      return std::nullopt;
  }
}

Purposes::Purpose Purposes::of_uwsgi(const OpenFile& file) {
  const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets_.find(file.inode) : nullptr;
  // With log-master the workers' standard output is one end of a pair that all have both of.
  const bool to_stream =
      facts != nullptr && std::any_of(files_.begin(), files_.end(), [&](const OpenFile& other) {
        return S_ISSOCK(other.mode) && other.inode == facts->peer_inode &&
               is_standard_stream(other);
      });
  if (to_stream) {
    return "standard stream";
  }
  // By which it wakes its spooler, which has it as well. It sets no O_CLOEXEC, as Python does.
  const bool pair = facts != nullptr && facts->is_unix && facts->peer_inode != 0 &&
                    facts->peer.empty() && (file.flags & O_CLOEXEC) == 0;
  const bool a_helper_has_it =
      std::any_of(file.holders.begin(), file.holders.end(),
                  [&](const auto& holder) { return family_.is_forked_helper(holder.first); });
  if (pair && a_helper_has_it && file.held_by(family_.master.pid) && only("spooler", file)) {
    return "uWSGI's own";
  }
  // What it asks the kernel about its sockets by.
  const bool asks = S_ISSOCK(file.mode) && facts == nullptr && file.held_by(family_.master.pid);
  return asks && only("asking", file) ? Purpose("uWSGI's own") : std::nullopt;
}

int Purposes::first_listener() const {
  int first = std::numeric_limits<int>::max();
  for (const OpenFile& file : files_) {
    const auto holder = file.holders.find(family_.master.pid);
    const SocketFacts* facts = S_ISSOCK(file.mode) ? sockets_.find(file.inode) : nullptr;
    if (holder != file.holders.end() && facts != nullptr && facts->listening) {
      first = std::min(first, holder->second.front());
    }
  }
  return first;
}

Purposes::Purpose Purposes::of_gunicorn(const OpenFile& file) {
  if (file.link.find("/wgunicorn-") != std::string::npos) {
    return "gunicorn's sign of life";
  }
  if (!made_by_master(file)) {
    return std::nullopt;
  }
  if (S_ISFIFO(file.mode) && (file.flags & O_NONBLOCK) != 0 && only("pipe", file)) {
    return "gunicorn's pipe to itself";
  }
  const bool pair = S_ISSOCK(file.mode) && sockets_.find(file.inode) != nullptr &&
                    sockets_.find(file.inode)->peer_inode != 0 &&
                    sockets_.find(file.inode)->peer.empty();
  const bool loop = file.link == "anon_inode:[eventpoll]";
  // It is made after the listeners, and these after the application was loaded.
  const bool late =
      gunicorn_controls_ && file.holders.at(family_.master.pid).front() > first_listener();
  return late && ((pair && only("pair", file)) || (loop && only("loop", file)))
             ? Purpose("gunicorn's control loop")
             : std::nullopt;
}

Purposes::Purpose Purposes::of_apache(const OpenFile& file) {
  if (is_lock_of_opcache(file)) {
    return "opcache's lock";
  }
  if (S_ISFIFO(file.mode) && made_by_master(file) && only("pipe", file)) {
    return "Apache's pipe of death";
  }
  if (is_mutex_of_apache(file, family_.master.pid)) {
    return "Apache's mutex";
  }
  return std::nullopt;
}

Purposes::Purpose Purposes::of_php_fpm(const OpenFile& file) {
  if (is_lock_of_opcache(file)) {
    return "opcache's lock";
  }
  return &file == saved_stderr_ ? Purpose("standard stream") : std::nullopt;
}

}  // namespace forktail::doctor
