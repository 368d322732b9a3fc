#include "server/master/reloads.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>

#include <exception>
#include <utility>

#include "server/shared/tls_files.h"

namespace forktail::server {

using log::EventKind;

namespace {

// The files are open here, in which no other process of this user may look: the application's are
// such.
void hide_key(const Options& options) {
  if (options.tls) {
    prctl(PR_SET_DUMPABLE, 0);
  }
}

}  // namespace

Reloads::Reloads(const Options& at_start, int last, Means means)
    : at_start_(at_start),
      options_(at_start),
      read_options_(std::move(means.read_options)),
      generations_(means.generations),
      files_(means.files),
      tls_(means.tls),
      systemd_(means.systemd),
      sink_(means.sink),
      touched_(at_start.touch_reload),
      change_(last) {
  hide_key(at_start);
}

bool Reloads::under_way() const { return change_.reforking() != 0 || generations_.starting(); }

void Reloads::start() { start(options_); }

void Reloads::start(Options options) {
  std::vector<int> listeners = tls_.for_workers(files_.listeners(), options);
  generations_.start(change_.next(), std::move(options), std::move(listeners));
}

std::string Reloads::reload() {
  if (under_way()) {
    change_.ask_again();
    sink_.write(EventKind::reload_deferred, {}, "a reload is under way; another one follows it");
    return {};
  }
  sink_.write(EventKind::reload, {}, "reloading");
  systemd_.reloading("reloading");
  try {
    start(options_anew());
    return {};
  } catch (const std::exception& error) {
    report(EventKind::reload_failed, "can not reload, nothing has changed: ", error.what());
    return error.what();
  }
}

Options Reloads::options_anew() {
  Options options = read_options_();
  options.tls = load_tls(options, options_.tls.get(), &sink_);
  hide_key(options);
  if (const auto names = fixed_options_that_differ(at_start_, options); !names.empty()) {
    const std::string list = fmt::format("{}", fmt::join(names, ", "));
    sink_.write(EventKind::options_not_applied, {},
                list + " changed, which takes an upgrade (SIGUSR2) or a restart",
                {{"options", list}});
  }
  if (change_.mode()) {
    set_fork_mode(options, *change_.mode());
  }
  return options;
}

std::string Reloads::refork() {
  if (under_way()) {
    return "a reload is under way";
  }
  if (generations_.current() == nullptr) {
    return "nothing serves";
  }
  std::string why = generations_.current()->begin_refork();
  if (why.empty()) {
    change_.begin_refork();
    systemd_.reloading("reforking");
  }
  return why;
}

void Reloads::attend_refork(bool ending) {
  std::optional<Refork> refork = generations_.take_refork();
  if (!refork) {
    if (change_.reforking() != 0 && generations_.current() == nullptr) {
      change_.end_refork();  // the generation is gone, and with it the worker
    }
    return;
  }
  const int number = change_.end_refork();
  const std::string why = start_reforked(std::move(*refork), number, ending);
  if (!why.empty()) {
    change_.note_failure(number, why);
    report(EventKind::refork_failed, "the refork has failed, nothing has changed: ", why);
  }
}

std::string Reloads::start_reforked(Refork refork, int number, bool ending) {
  if (!refork.failure.empty()) {
    return refork.failure;
  }
  if (ending || generations_.current() == nullptr) {
    kill(refork.pid, SIGKILL);
    return "the server is stopping";
  }
  const Options& options = generations_.current()->options();
  try {
    generations_.start(number, options, tls_.for_workers(files_.listeners(), options), &refork);
    return {};
  } catch (const std::exception& error) {
    kill(refork.pid, SIGKILL);
    return error.what();
  }
}

bool Reloads::attend_generations(bool ending) {
  generations_.attend();
  Generation* next = generations_.next();
  if (next == nullptr || ending) {
    return false;
  }
  const auto change = tls_.change_to(next->number(), next->options(), files_.listeners());
  if (change == TlsFront::Change::failed) {
    next->fail(tls_.failure());
  } else if (change == TlsFront::Change::stands) {
    generations_.let_next_serve();
    return true;
  }
  return false;
}

void Reloads::note_serving() {
  const Generation& next = *generations_.current();
  options_ = next.options();
  touched_.watch(options_.touch_reload);
  change_.note_served(options_.fork_mode);
  sink_.write(EventKind::serving, {}, next.status(),
              {{"generation", std::int64_t{next.number()}},
               {"workers", std::int64_t{next.wanted()}},
               {"fork_mode", to_string(options_.fork_mode)}});
  systemd_.ready(next.status());
}

bool Reloads::note_failed(const Generations::Failed& failed, bool wanted) {
  change_.note_failure(failed.number, failed.why);
  if (failed.serving == 0 && wanted) {
    return true;
  }
  const std::string who_goes_on =
      failed.serving == 0 ? "the server goes on without workers"
                          : fmt::format("generation {} goes on serving", failed.serving);
  const std::string status =
      fmt::format("generation {} could not start, {}: {}", failed.number, who_goes_on, failed.why);
  sink_.write(EventKind::reload_failed, {}, status,
              {{"generation", std::int64_t{failed.number}}, {"reason", failed.why}});
  if (failed.serving != 0) {
    systemd_.ready(status);  // a reload that is over, though it failed
  }
  return false;
}

bool Reloads::settle() {
  if (under_way()) {
    return false;
  }
  tls_.stay();
  if (change_.take_again()) {
    return true;
  }
  change_.end_trial();
  return false;
}

// The end of a reload for systemd, too.
void Reloads::report(EventKind kind, std::string_view what, const std::string& why) {
  const std::string status = fmt::format("{}{}", what, why);
  sink_.write(kind, {}, status, {{"reason", why}});
  systemd_.ready(status);
}

}  // namespace forktail::server
