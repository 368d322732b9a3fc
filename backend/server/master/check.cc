// `forktail check`: what a start does, up to the loaded application, without anything that is left
// behind or that a running server would notice.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "log/guarded_open.h"
#include "log/target.h"
#include "server/child/app_library.h"
#include "server/master/serve.h"
#include "server/shared/channel.h"
#include "server/shared/describe.h"
#include "server/shared/listeners.h"
#include "server/shared/process_setup.h"
#include "server/shared/thrown_by.h"
#include "server/shared/tls_files.h"

namespace forktail::server {

namespace {

[[noreturn]] void refuse(const std::string& option, const std::string& value,
                         const std::string& why) {
  throw std::runtime_error(fmt::format("{} = {}: {}", option, value, why));
}

// A file can be made beside it, by this process.
void check_directory_of(const std::string& option, const std::string& path) {
  const std::string directory = std::filesystem::absolute(path).parent_path().string();
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    const int error = errno;
    refuse(option, path,
           fmt::format(
               "nothing can be made in the directory {}: {}; {}", directory, log::error_text(error),
               error == EACCES ? "let the user of the server write there" : "create it first"));
  }
}

void check_file(const std::string& option, const std::string& path, int flags) {
  const Descriptor file(log::open_guarded(path.c_str(), flags | O_CLOEXEC, 0).descriptor);
  if (file) {
    return;
  }
  const int error = errno;
  if (error != ENOENT) {
    refuse(option, path, fmt::format("{}; {}", log::error_text(error), log::cure(error)));
  }
  check_directory_of(option, path);
}

// Whether anybody listens there now is of no account: it may well be the server that is to be
// started anew.
void check_socket(const std::string& option, const std::string& text) {
  const wire::Address address = wire::parse_address(text);
  const std::string path = address.path();
  if (!address.is_unix()) {
    const Descriptor probe(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(probe.get(), address.get(), address.size) != 0 && errno != EADDRINUSE) {
      refuse(option, text, "cannot bind: " + std::generic_category().message(errno));
    }
  } else if (!path.starts_with('@')) {
    struct stat info {};
    if (lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
      refuse(option, text, "exists and is no socket; give another path or remove it");
    }
    check_directory_of(option, path);
  }
}

// What is opened before the process becomes another user.
Identity check_as_caller(const Options& options) {
  Identity identity = identity_of_workers(options);
  check_stats_exposure(options);
  for (const std::string& text : options.sockets) {
    check_exposure(wire::parse_address(text), options);
    check_socket("socket", text);
  }
  find_user_and_group(options.chown_socket);
  load_tls(options);
  if (!log::means_stderr(options.logto)) {
    check_file("logto", options.logto, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  }
  if (!options.pidfile.empty()) {
    check_file("pidfile", options.pidfile, O_RDWR);
  }
  return identity;
}

// What follows, in a process of its own: the application may do at its load whatever it likes.
void check_as_workers(const Options& options, const Identity& identity) {
  prepare_process(options);
  become(identity);
  for (const auto& [name, text] :
       {std::pair("control", &options.control), std::pair("stats", &options.stats),
        std::pair("stats-http", &options.stats_http)}) {
    if (!text->empty()) {
      check_socket(name, *text);
    }
  }
  change_directory(options);
  apply_environment(options);
  load_app(options.app);
}

[[noreturn]] void run_child(const Options& options, const Identity& identity,
                            const Channel& parent) {
  if (const auto thrown = thrown_by([&] { check_as_workers(options, identity); })) {
    parent.send({MessageType::load_failed, 0, *thrown});
  } else {
    parent.send({MessageType::loaded});
  }
  std::fflush(nullptr);
  _exit(0);
}

// How the child ended; it is killed when it takes longer than a start may.
std::string wait_for_child(pid_t pid, const Channel& channel, Options::Duration limit) {
  pollfd watched{channel.descriptor(), POLLIN, 0};
  const int timeout = limit.count() == 0 ? -1 : static_cast<int>(limit.count());
  const bool late = poll(&watched, 1, timeout) == 0;
  if (late) {
    kill(pid, SIGKILL);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return late ? fmt::format("killed: it had not loaded within start-timeout ({} ms)", limit.count())
              : how_it_ended(status) + " while it loaded";
}

}  // namespace

void check(const Options& options) {
  const Identity identity = check_as_caller(options);
  auto [ours, theirs] = Channel::make();
  const pid_t pid = fork();
  if (pid < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot fork");
  }
  if (pid == 0) {
    run_child(options, identity, theirs);
  }
  theirs.close();
  const std::string end = wait_for_child(pid, ours, options.start_timeout);
  bool ended = false;
  const std::optional<Message> message = ours.receive(ended);
  if (!message) {
    throw std::runtime_error(fmt::format("application {}: was {}", options.app, end));
  }
  if (message->type == MessageType::load_failed) {
    throw std::runtime_error(message->text);
  }
}

}  // namespace forktail::server
