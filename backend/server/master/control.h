// The master's own sockets (control, stats, stats-http): what they are asked, what it has come to,
// and what they answer.
//
// Belongs to the master's loop, and asks the master alone. Nothing waits: a command whose outcome
// is not known yet is answered by resolve(), and a question for the stats when the memory of the
// workers has been measured.
#pragma once

#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "forktail/api.h"
#include "log/sink.h"
#include "server/generation/memory_meter.h"
#include "server/generation/stats.h"
#include "server/master/endpoint.h"
#include "server/shared/listeners.h"
#include "server/shared/options.h"

namespace forktail::server {

class Master;

class Control {
 public:
  using Clock = std::chrono::steady_clock;

  Control(Master& master, log::Sink& sink) : master_(master), sink_(sink) {}

  // Those of `handed_over` that have one of the addresses are taken. Throws std::runtime_error.
  void open(const Options& options, std::vector<Listener>& handed_over);
  [[nodiscard]] const std::vector<std::unique_ptr<Endpoint>>& endpoints() const
      FORKTAIL_LIFETIMEBOUND {
    return endpoints_;
  }

  void watch(std::vector<pollfd>& watched) const;
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  void attend();
  // Answers those who wait for something that has come about.
  void resolve();
  // Somebody waits for the outcome of a command.
  [[nodiscard]] bool awaited() const { return !commands_.empty(); }
  // A child of the master's has been waited for. True when it was one of this object's.
  bool reaped(pid_t pid) { return memory_.reaped(pid); }
  // Writes what is still unwritten, before the master ends.
  void finish();

 private:
  // Who asks: the place of the socket in endpoints_, and its name for the client.
  struct Client {
    std::size_t endpoint;
    int id;
  };
  // What somebody waits for.
  struct Command {
    enum class Kind { generation, reopen, scale, upgrade, stop };
    Client client;
    Kind kind;
    int generation = 0;     // the one that is to serve, or to have so many workers
    int failed_starts = 0;  // that it has had before
  };
  // The answer to a question, made of the stats as they are when memory has been measured.
  using StatsText = std::function<std::string(const Stats&)>;
  struct StatsAsker {
    Client client;
    StatsText text;
  };
  // What is answered at once; nothing when the answer is to come later.
  using Answer = std::optional<std::string>;

  void open(const std::string& address, Endpoint::Speaks speaks, std::optional<mode_t> mode,
            std::vector<Listener>& handed_over,
            std::function<Answer(Client client, const std::string& question)> answer);
  Answer answer_command(Client client, const std::string& line);
  Answer answer_http(Client client, const std::string& request);
  Answer answer_with_stats(Client client, StatsText text);
  void answer_stats_askers();

  // `why_not`: why it could not even begin; empty when it has.
  Answer wait_for(const Command& command, const std::string& why_not = "");
  Answer reload(Client client);
  Answer scale(Client client, const std::string& argument);
  [[nodiscard]] std::optional<std::string> outcome(const Command& command) const;
  [[nodiscard]] std::optional<std::string> reopen_outcome() const;
  [[nodiscard]] std::optional<std::string> scale_outcome(const Command& command) const;

  Master& master_;
  log::Sink& sink_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<Command> commands_;
  std::vector<StatsAsker> stats_askers_;
  MemoryMeter memory_;
};

}  // namespace forktail::server
