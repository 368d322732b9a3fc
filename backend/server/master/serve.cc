#include "server/master/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
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
#include "server/master/log_maker.h"
#include "server/master/pidfile.h"
#include "server/master/systemd_notify.h"
#include "server/master/systemd_sockets.h"
#include "server/master/upgrade_new.h"
#include "server/os/program.h"
#include "server/os/title.h"
#include "server/os/users.h"
#include "server/shared/logging.h"
#include "server/shared/process_setup.h"
#include "server/shared/thrown_by.h"
#include "server/shared/tls_files.h"

namespace forktail::server {

namespace {

// A log that was just made is to be opened again by the user that the server becomes. One that was
// there before is left as it is: it may be somebody else's.
void give_log_away(log::Sink& sink, const Options& options, const Identity& identity) {
  constexpr auto kUnchanged = static_cast<id_t>(-1);
  if (sink.made() && fchown(sink.descriptor(), identity.uid.value_or(kUnchanged),
                            identity.gid.value_or(kUnchanged)) != 0) {
    const std::string reason = std::generic_category().message(errno);
    sink.write(log::EventKind::log_not_given, {},
               fmt::format("can not give the log {} to the user of uid and gid: {}", options.logto,
                           reason),
               {{"path", options.logto}, {"reason", reason}});
  }
}

// After an upgrade this process may no longer have the right to open what root did.
std::shared_ptr<log::Sink> open_log(const Options& options, Inherited& inherited) {
  try {
    return start_logging(options);
  } catch (const std::exception&) {
    if (!inherited.log || inherited.logto != options.logto) {
      throw;
    }
    return inherit_logging(options, inherited.log.release());
  }
}

// For a log that is a file, of a server that is about to become another user, or has become it.
LogMaker make_log_maker(const Options& options, const log::Sink& sink, const Identity& identity,
                        Inherited& inherited) {
  struct stat info {};
  const bool file = !log::means_stderr(options.logto) && fstat(sink.descriptor(), &info) == 0 &&
                    S_ISREG(info.st_mode);
  if (file && geteuid() == 0 && identity.uid.value_or(0) != 0) {
    return LogMaker::start(options.logto, identity, options.procname_prefix);
  }
  return file && inherited.logto == options.logto ? LogMaker(std::move(inherited.log_maker))
                                                  : LogMaker();
}

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
  const Identity identity = identity_of_workers(options);
  check_stats_exposure(options);
  prepare_process(options);
  set_title(options.procname_prefix, "master");
  const auto sink = open_log(options, inherited);
  give_log_away(*sink, options, identity);
  SystemdNotify systemd = SystemdNotify::from_environment(*sink);
  std::vector<Listener> given = take_handed_over_sockets();
  std::move(inherited.listeners.begin(), inherited.listeners.end(), std::back_inserter(given));
  std::vector<Listener> listeners = open_listeners(options, std::move(given), *sink);
  options.tls = load_tls(options, inherited.tls.get(), sink.get());
  // The predecessor's own, if it could not make room for a new one.
  const bool shared = inherited.pidfile && inherited.pidfile_path == options.pidfile;
  Pidfile pidfile =
      shared ? Pidfile(options.pidfile, std::move(inherited.pidfile)) : Pidfile(options.pidfile);
  LogMaker log_maker = make_log_maker(options, *sink, identity, inherited);
  for (Descriptor* unused : {&inherited.log, &inherited.log_maker, &inherited.pidfile}) {
    unused->reset();
  }
  inherited.tls.reset();
  become(identity);
  change_directory(options);
  for (const Listener& listener : listeners) {
    sink->write(
        log::EventKind::listening, {},
        fmt::format("listening on {}{}", listener.address.text,
                    listener.ours ? "" : ", which was handed over"),
        {{"socket", listener.address.text}, {"handed_over", std::int64_t{listener.ours ? 0 : 1}}});
  }
  sink->mend_after_kill();  // of a server that ended as a whole
  auto master = std::make_unique<Master>(
      std::move(options),
      Master::Means{sink, std::move(listeners), std::move(read_options), std::move(systemd),
                    program, inherited, pidfile, std::move(log_maker)});
  const std::variant<int, Master::Life> end = master->run();
  if (const auto* life = std::get_if<Master::Life>(&end)) {
    static_cast<void>(master.release());
    live(*life, *sink);
  }
  return std::get<int>(end);
}

}  // namespace

int serve(Options options, Master::ReadOptions read_options) {
  // A reload without `umask` means that of the start, not that of the last reload.
  const mode_t mask = umask(0);
  umask(mask);
  const auto complete = [mask](Options read) {
    read.umask = read.umask.value_or(mask);
    return read;
  };
  const auto read_complete = [complete, read_options = std::move(read_options)] {
    return complete(read_options());
  };
  const Program program = Program::of_this_process();
  Inherited inherited = Inherited::from_environment();
  try {
    return serve(complete(std::move(options)), read_complete, program, inherited);
  } catch (const std::exception& error) {
    if (inherited.pending()) {
      inherited.old_master.send({MessageType::start_failed, 0, error.what()});
    }
    throw;
  }
}

}  // namespace forktail::server
