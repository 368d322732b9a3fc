// What the master's endpoints are asked, and what they answer.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <utility>

#include "server/master/master.h"
#include "server/os/environment.h"
#include "server/os/listen_queue.h"

namespace forktail::server {

namespace {

std::string http_answer(const char* status, const char* type, const std::string& body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, type, body.size(), body);
}

// What has no need of the stats.
std::optional<std::string> refuse_http(const std::string& method, const std::string& target) {
  if (method != "GET") {
    return http_answer("405 Method Not Allowed", "text/plain", "only GET\n");
  }
  if (target != "/" && target != "/metrics") {
    return http_answer("404 Not Found", "text/plain", "there are / and /metrics\n");
  }
  return std::nullopt;
}

std::string json_line(const Stats& stats) { return to_json(stats).dump() + "\n"; }

std::string json_page(const Stats& stats) {
  return http_answer("200 OK", "application/json", json_line(stats));
}

std::string metrics_page(const Stats& stats) {
  return http_answer("200 OK", "text/plain; version=0.0.4", to_prometheus(stats));
}

std::optional<ForkMode> mode_named(const std::string& name) {
  for (const ForkMode mode : {ForkMode::preload, ForkMode::lazy, ForkMode::exec}) {
    if (name == to_string(mode)) {
      return mode;
    }
  }
  return std::nullopt;
}

}  // namespace

void Master::open_endpoints() {
  using Speaks = Endpoint::Speaks;
  if (!options_.control.empty()) {
    endpoints_.push_back(std::make_unique<Endpoint>(
        options_.control, Speaks::line, 0600, inherited_.endpoints,
        [this](int client, const std::string& line) { return command(client, line); }));
    control_ = endpoints_.back().get();
  }
  if (!options_.stats.empty()) {
    endpoints_.push_back(std::make_unique<Endpoint>(
        options_.stats, Speaks::first, options_.chmod_stats, inherited_.endpoints,
        [this, place = endpoints_.size()](int client, const std::string&) {
          answer_with_stats(place, client, json_line);
          return std::nullopt;
        }));
  }
  if (!options_.stats_http.empty()) {
    endpoints_.push_back(std::make_unique<Endpoint>(
        options_.stats_http, Speaks::http, std::nullopt, inherited_.endpoints,
        [this, place = endpoints_.size()](int client, const std::string& request) {
          return answer_http(place, client, request);
        }));
  }
}

std::optional<std::string> Master::answer_http(std::size_t endpoint, int client,
                                               const std::string& request) {
  std::istringstream line(request);
  std::string method;
  std::string target;
  line >> method >> target;
  target.resize(std::min(target.find('?'), target.size()));
  std::optional<std::string> refusal = refuse_http(method, target);
  if (!refusal) {
    answer_with_stats(endpoint, client, target == "/" ? json_page : metrics_page);
  }
  return refusal;
}

std::optional<std::string> Master::command(int client, const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  std::string argument;
  words >> verb >> argument;
  using Kind = Command::Kind;

  if (verb == "status") {
    constexpr std::size_t kControl = 0;  // the first of endpoints_
    answer_with_stats(kControl, client, [](const Stats& now) { return "ok " + json_line(now); });
    return std::nullopt;
  }
  if (verb == "stop") {
    stop(false);
    commands_.push_back({client, Kind::stop});
    return std::nullopt;
  }
  if (verb == "reopen") {
    reopen_logs();
    commands_.push_back({client, Kind::reopen});
    return std::nullopt;
  }
  if (verb == "upgrade") {
    const std::string why = begin_upgrade();
    if (!why.empty()) {
      return fmt::format("failed {}\n", why);
    }
    commands_.push_back({client, Kind::upgrade});
    return std::nullopt;
  }
  if (verb == "refork") {
    const std::string why = refork();
    if (!why.empty()) {
      return fmt::format("failed {}\n", why);
    }
    commands_.push_back({client, Kind::generation, refork_number_});
    return std::nullopt;
  }
  if (verb == "scale") {
    if (!has_workers()) {
      return "failed there are no workers, or they are leaving; a reload starts new ones\n";
    }
    const std::optional<std::int64_t> wanted = whole_number(argument);
    if (!wanted || *wanted < 1 || *wanted > current_->most()) {
      return fmt::format("failed scale takes 1 to {} workers\n", current_->most());
    }
    const int failed_starts = current_->failed_starts();
    scale(static_cast<int>(*wanted));
    commands_.push_back({client, Kind::scale, current_->number(), failed_starts});
    return std::nullopt;
  }
  if (verb == "mode") {
    const std::optional<ForkMode> mode = mode_named(argument);
    if (!mode) {
      return "failed mode takes preload, lazy or exec\n";
    }
    next_mode_ = mode;
  } else if (verb != "reload") {
    return "failed unknown command; there are reload, stop, reopen, upgrade, refork, scale N, mode "
           "M, "
           "status\n";
  }
  const std::string why = reload();
  if (!why.empty()) {
    next_mode_ = asked_mode_;
    return fmt::format("failed {}\n", why);
  }
  commands_.push_back({client, Kind::generation, last_number_ + (reload_again_ ? 1 : 0)});
  return std::nullopt;
}

// What a command has come to; nothing while it is under way.
std::optional<std::string> Master::outcome(const Command& command) {
  const bool serving = current_ != nullptr;
  switch (command.kind) {
    case Command::Kind::generation:
      if (serving && current_->number() >= command.generation) {
        return fmt::format("ok generation {} serves", current_->number());
      }
      if (const auto failed = failures_.find(command.generation); failed != failures_.end()) {
        return fmt::format("failed generation {} could not start: {}", failed->first,
                           failed->second);
      }
      return stopping_ ? std::optional<std::string>("failed the server is stopping") : std::nullopt;
    case Command::Kind::reopen:
      return reopen_outcome();
    case Command::Kind::scale:
      if (stopping_) {
        return "failed the server is stopping";
      }
      if (!has_workers()) {
        return "failed the workers are leaving";
      }
      if (current_->settled()) {
        return fmt::format("ok {} workers", current_->wanted());
      }
      if (current_->number() == command.generation &&
          current_->failed_starts() > command.failed_starts) {
        return fmt::format("failed {}; it is tried again", current_->last_failed_start());
      }
      return std::nullopt;
    case Command::Kind::upgrade:
      return upgrade_ ? std::nullopt : std::optional(upgrade_outcome_);
    case Command::Kind::stop:
      if (!exit_code_) {
        return std::nullopt;
      }
      if (const std::string flaws = flaws_of_stop(); !flaws.empty()) {
        return "failed stopped, but " + flaws;
      }
      return "ok stopped";
  }
  return std::nullopt;
}

std::string Master::flaws_of_stop() {
  std::vector<std::string> flaws;
  if (const std::uint64_t lost = totals().lost - lost_before_stop_; lost != 0) {
    flaws.push_back(fmt::format(
        "{} {} cut: the log names each (\"event\":\"lost\"); a longer reload-mercy lets them end",
        lost, lost == 1 ? "request was" : "requests were"));
  }
  const auto remove = [&flaws](Listener& listener) {
    if (!listener.remove_file()) {
      flaws.push_back(fmt::format("{} could not be removed: {}", listener.address.text,
                                  std::generic_category().message(errno)));
    }
  };
  std::for_each(listeners_.begin(), listeners_.end(), remove);
  for (const auto& endpoint : endpoints_) {
    remove(endpoint->listener());
  }
  if (!pidfile_.remove()) {
    flaws.push_back(fmt::format("the pidfile {} could not be removed: {}", options_.pidfile,
                                std::generic_category().message(errno)));
  }
  return fmt::format("{}", fmt::join(flaws, "; "));
}

// Which processes have failed; each has said why in the file that it goes on with.
std::optional<std::string> Master::reopen_outcome() const {
  if (!logs_reopened()) {
    return std::nullopt;
  }
  std::string failures = log_reopened_ ? "" : " the master";
  for (const auto& generation : generations_) {
    for (const int id : generation->reopen_failures()) {
      failures += fmt::format("{} worker {} of generation {}", failures.empty() ? "" : ",", id,
                              generation->number());
    }
  }
  return failures.empty() ? "ok logs are reopened"
                          : fmt::format(
                                "failed the log could not be reopened by{}; the old file "
                                "stays in use there and says why",
                                failures);
}

void Master::resolve_commands() {
  std::erase_if(commands_, [this](const Command& command) {
    const std::optional<std::string> text = outcome(command);
    if (text) {
      control_->answer(command.client, *text + "\n");
      if (!exit_code_) {  // or else it is finish() that writes it
        control_->attend();
      }
    }
    return text.has_value();
  });
  if (commands_.empty()) {
    failures_.clear();
  }
}

Counters Master::totals() const {
  Counters totals = past_;
  totals.log_lines_dropped += sink_->dropped();
  for (const auto& generation : generations_) {
    totals.add(generation->totals());
  }
  if (inherited_.ledger != nullptr) {
    totals.add(inherited_.ledger->read());
  }
  return totals;
}

Stats Master::stats() const {
  Stats stats;
  stats.version = "forktail " FORKTAIL_VERSION;
  stats.pid = getpid();
  stats.uid = getuid();
  stats.gid = getgid();
  stats.cwd = std::filesystem::current_path().string();
  stats.totals = totals();
  if (current_ != nullptr) {
    stats.generation = current_->number();
    stats.fork_mode = to_string(current_->options().fork_mode);
    stats.wanted = current_->wanted();
    stats.workers = current_->worker_stats(memory_);
  }
  // Behind them those who finish what they have, the newest first.
  for (auto one = generations_.rbegin(); one != generations_.rend(); ++one) {
    const bool leaves = (*one)->phase() == Generation::Phase::leaving ||
                        (*one)->phase() == Generation::Phase::failed;
    if (leaves && one->get() != current_) {
      for (WorkerStats& worker : (*one)->worker_stats(memory_)) {
        if (worker.pid != 0) {
          stats.workers.push_back(std::move(worker));
        }
      }
    }
  }
  for (const Listener& listener : listeners_) {
    stats.sockets.push_back({listener.address.text, listen_queue(listener.descriptor.get())});
  }
  return stats;
}

}  // namespace forktail::server
