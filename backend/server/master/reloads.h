// How the next generation comes: by the start, by a reload that somebody asks for or that a touched
// file does, by a refork.
//
// Belongs to the master's loop. Nothing waits. Whether there may be one now is the master's to say.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "forktail/api.h"
#include "log/sink.h"
#include "server/generation/change.h"
#include "server/generation/generations.h"
#include "server/generation/tls_front.h"
#include "server/master/server_files.h"
#include "server/master/systemd_notify.h"
#include "server/os/touched_files.h"
#include "server/shared/options.h"

namespace forktail::server {

class Reloads {
 public:
  using Clock = std::chrono::steady_clock;
  // Reads the configuration anew; throws std::exception when it is not usable.
  using ReadOptions = std::function<Options()>;

  // What it works with; the references must outlive it.
  struct Means {
    ReadOptions read_options;
    Generations& generations;
    const ServerFiles& files;
    TlsFront& tls;
    SystemdNotify& systemd;
    log::Sink& sink;
  };

  // `last`: the number of the last generation, of an old master's too.
  Reloads(const Options& at_start, int last, Means means);

  [[nodiscard]] Change& change() FORKTAIL_LIFETIMEBOUND { return change_; }
  // Of the generation that has served last; before, those of the start.
  [[nodiscard]] const Options& options() const FORKTAIL_LIFETIMEBOUND { return options_; }
  // A generation is starting, or about to.
  [[nodiscard]] bool under_way() const;

  // The first one. Throws std::system_error.
  void start();
  // A new one, or another one when that which is under way is over. Returns why it could not even
  // begin; empty when it has.
  std::string reload();
  // One whose template is a worker that has served. Returns the same.
  std::string refork();
  // A file of touch-reload has changed since the last look.
  std::optional<std::string> touched() { return touched_.changed(Clock::now()); }
  [[nodiscard]] std::optional<Clock::time_point> next_look() const { return touched_.next(); }

  // A worker has become a template, or has not. When the server is `ending`, it is of no use.
  void attend_refork(bool ending);
  // They read and act. True when another one has just become the current one: it can serve, TLS is
  // spoken as it wants, and the server is not `ending`.
  bool attend_generations(bool ending);
  // The current generation serves, since now.
  void note_serving();
  // One could not start. True when nothing else serves, and somebody should: with `wanted`.
  bool note_failed(const Generations::Failed& failed, bool wanted);
  // What was asked for has served by now, or failed. True when another reload was asked for
  // meanwhile, whose turn it is.
  bool settle();

 private:
  void start(Options options);
  [[nodiscard]] Options options_anew();
  // Why it is not the next generation's template; empty when it is.
  std::string start_reforked(Refork refork, int number, bool ending);
  void report(log::EventKind kind, std::string_view what, const std::string& why);

  const Options& at_start_;
  Options options_;
  ReadOptions read_options_;
  Generations& generations_;
  const ServerFiles& files_;
  TlsFront& tls_;
  SystemdNotify& systemd_;
  log::Sink& sink_;
  TouchedFiles touched_;
  Change change_;
};

}  // namespace forktail::server
