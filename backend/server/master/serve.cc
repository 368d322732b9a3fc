#include "server/master/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include "log/target.h"
#include "server/child/app_library.h"
#include "server/master/pidfile.h"
#include "server/master/systemd_notify.h"
#include "server/master/systemd_sockets.h"
#include "server/master/upgrade_new.h"
#include "server/os/program.h"
#include "server/os/title.h"
#include "server/os/users.h"
#include "server/request/tls.h"
#include "server/shared/channel.h"
#include "server/shared/describe.h"
#include "server/shared/logging.h"
#include "server/shared/thrown_by.h"

namespace forktail::server {

namespace {

// As far as allowed, but not to the millions that some systems allow: nothing here needs them.
void raise_descriptor_limit() {
  constexpr rlim_t kEnough = 16384;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kEnough));
  setrlimit(RLIMIT_NOFILE, &limit);
}

void prepare_process(const Options& options) {
  // A reader that leaves and a file that may not grow are errors of a write, not ends of a process.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  raise_descriptor_limit();
  apply_to_process(options);
}

// A log that was just made, or was left by a server that ran as root, must be opened again by the
// user that the server becomes.
void give_log_away(log::Sink& sink, const Options& options) {
  const UserAndGroup owner = find_user_and_group(options.uid + ":" + options.gid);
  struct stat info {};
  if (geteuid() == 0 && fstat(sink.descriptor(), &info) == 0 && S_ISREG(info.st_mode) &&
      !log::means_stderr(options.logto) && fchown(sink.descriptor(), owner.uid, owner.gid) != 0) {
    const std::string reason = std::generic_category().message(errno);
    sink.write(log::EventKind::log_not_given, {},
               fmt::format("can not give the log {} to the user of uid and gid: {}", options.logto,
                           reason),
               {{"path", options.logto}, {"reason", reason}});
  }
}

void change_directory(const std::string& path) {
  if (!path.empty() && chdir(path.c_str()) != 0) {
    throw std::runtime_error(fmt::format("cannot change to the directory {} (chdir): {}", path,
                                         std::generic_category().message(errno)));
  }
}

// An application that runs as root may do everything on this machine, and so may whoever finds a
// hole in it.
void check_user(const Options& options) {
  const bool changes = !options.uid.empty() && find_user_and_group(options.uid).uid != 0;
  if (geteuid() == 0 && !changes && !options.allow_root) {
    throw std::runtime_error(
        "refuses to run the application as root: name its user with `uid`, or say "
        "`allow-root = true`");
  }
}

}  // namespace

void check(const Options& options) {
  for (const std::string& text : options.sockets) {
    check_exposure(wire::parse_address(text), options);
  }
  load_tls(options);
  for (const std::string& owner : {options.chown_socket, options.uid + ":" + options.gid}) {
    find_user_and_group(owner);
  }
  check_user(options);
  change_directory(options.chdir);
  // The application may do at its load whatever it likes; not to this process.
  auto [ours, theirs] = Channel::make();
  const pid_t pid = fork();
  if (pid < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot fork");
  }
  if (pid == 0) {
    if (const auto thrown = thrown_by([&] { load_app(options.app); })) {
      theirs.send({MessageType::load_failed, 0, *thrown});
    } else {
      theirs.send({MessageType::loaded});
    }
    std::fflush(nullptr);
    _exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  bool ended = false;
  const std::optional<Message> message = ours.receive(ended);
  if (!message) {
    throw std::runtime_error(
        fmt::format("application {}: was {} while it loaded", options.app, how_it_ended(status)));
  }
  if (message->type == MessageType::load_failed) {
    throw std::runtime_error(message->text);
  }
}

namespace {

// Nothing leaves a child of the master's but this.
[[noreturn]] void live(const Master::Life& life, log::Sink& sink) {
  if (const auto thrown = thrown_by(life)) {
    sink.write(log::EventKind::template_failed, {},
               fmt::format("process {} ends: {}", getpid(), *thrown), {{"reason", *thrown}});
  }
  std::fflush(nullptr);
  _exit(1);
}

int serve(Options options, Master::ReadOptions read_options, const Program& program,
          Inherited& inherited) {
  check_user(options);
  prepare_process(options);
  set_title(options.procname_prefix, "master");
  const auto sink = start_logging(options);
  give_log_away(*sink, options);
  SystemdNotify systemd = SystemdNotify::from_environment(*sink);
  std::vector<Listener> given = take_handed_over_sockets();
  std::move(inherited.listeners.begin(), inherited.listeners.end(), std::back_inserter(given));
  std::vector<Listener> listeners = open_listeners(options, std::move(given), *sink);
  options.tls = load_tls(options);
  Pidfile pidfile(options.pidfile);
  become(options.uid, options.gid);
  change_directory(options.chdir);
  for (const Listener& listener : listeners) {
    sink->write(
        log::EventKind::listening, {},
        fmt::format("listening on {}{}", listener.address.text,
                    listener.ours ? "" : ", which was handed over"),
        {{"socket", listener.address.text}, {"handed_over", std::int64_t{listener.ours ? 0 : 1}}});
  }
  sink->mend_after_kill();  // of a server that ended as a whole
  auto master = std::make_unique<Master>(
      std::move(options), Master::Means{sink, std::move(listeners), std::move(read_options),
                                        std::move(systemd), program, inherited, pidfile});
  const std::variant<int, Master::Life> end = master->run();
  if (const auto* life = std::get_if<Master::Life>(&end)) {
    static_cast<void>(master.release());
    live(*life, *sink);
  }
  return std::get<int>(end);
}

}  // namespace

int serve(Options options, Master::ReadOptions read_options) {
  const Program program = Program::of_this_process();
  Inherited inherited = Inherited::from_environment();
  try {
    return serve(std::move(options), std::move(read_options), program, inherited);
  } catch (const std::exception& error) {
    if (inherited.pending()) {
      inherited.old_master.send({MessageType::start_failed, 0, error.what()});
    }
    throw;
  }
}

}  // namespace forktail::server
