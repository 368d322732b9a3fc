#include "server/master/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <utility>

#include "server/master/copies.h"
#include "server/master/master.h"
#include "server/os/environment.h"

namespace forktail::server {

namespace {

std::string http_answer(const char* status, const char* type, const std::string& body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, type, body.size(), body);
}

// Paths need not be UTF-8, which must not make the whole object fail.
std::string json_line(const Stats& stats) {
  return to_json(stats).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

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

void Control::open(const Options& options, std::vector<Listener>& handed_over) {
  using Speaks = Endpoint::Speaks;
  if (!options.control.empty()) {
    open(options.control, Speaks::line, 0600, handed_over,
         [this](Client client, const std::string& line) { return answer_command(client, line); });
  }
  if (!options.stats.empty()) {
    open(
        options.stats, Speaks::first, options.chmod_stats, handed_over,
        [this](Client client, const std::string&) { return answer_with_stats(client, json_line); });
  }
  if (!options.stats_http.empty()) {
    open(
        options.stats_http, Speaks::http, std::nullopt, handed_over,
        [this](Client client, const std::string& request) { return answer_http(client, request); });
  }
}

void Control::open(const std::string& address, Endpoint::Speaks speaks, std::optional<mode_t> mode,
                   std::vector<Listener>& handed_over,
                   std::function<Answer(Client client, const std::string& question)> answer) {
  endpoints_.push_back(std::make_unique<Endpoint>(
      address, speaks, mode, handed_over,
      [place = endpoints_.size(), answer = std::move(answer)](int id, const std::string& question) {
        return answer({place, id}, question);
      }));
}

void Control::watch(std::vector<pollfd>& watched) const {
  for (const auto& endpoint : endpoints_) {
    endpoint->watch(watched);
  }
  memory_.watch(watched);
}

std::optional<Control::Clock::time_point> Control::next_deadline() const {
  std::optional<Clock::time_point> next = memory_.next_deadline();
  for (const auto& endpoint : endpoints_) {
    const auto at = endpoint->next_deadline();
    if (at && (!next || *at < *next)) {
      next = at;
    }
  }
  return next;
}

void Control::attend() {
  if (memory_.attend()) {
    answer_stats_askers();
  }
  for (const auto& endpoint : endpoints_) {
    endpoint->attend();
  }
}

void Control::finish() {
  memory_.give_up();
  if (master_.stopping() || master_.new_master() != 0) {
    end_copies(sink_);
  }
  for (const auto& endpoint : endpoints_) {
    endpoint->finish();
  }
}

Control::Answer Control::answer_command(Client client, const std::string& line) {
  using Kind = Command::Kind;
  std::istringstream words(line);
  std::string verb;
  std::string argument;
  words >> verb >> argument;

  if (verb == "status") {
    return answer_with_stats(client, [](const Stats& now) { return "ok " + json_line(now); });
  }
  if (verb == "stop") {
    master_.stop(false);
    return wait_for({client, Kind::stop});
  }
  if (verb == "reopen") {
    master_.reopen_logs();
    return wait_for({client, Kind::reopen});
  }
  if (verb == "upgrade") {
    return wait_for({client, Kind::upgrade}, master_.begin_upgrade());
  }
  if (verb == "refork") {
    const std::string why_not = master_.refork();
    return wait_for({client, Kind::generation, master_.change().reforking()}, why_not);
  }
  if (verb == "scale") {
    return scale(client, argument);
  }
  if (verb == "reload") {
    return reload(client);
  }
  if (verb == "mode") {
    const std::optional<ForkMode> mode = mode_named(argument);
    if (!mode) {
      return "failed mode takes preload, lazy or exec\n";
    }
    master_.change().try_mode(*mode);
    return reload(client);
  }
  return "failed unknown command; there are reload, stop, reopen, upgrade, refork, scale N, mode "
         "M, status\n";
}

Control::Answer Control::wait_for(const Command& command, const std::string& why_not) {
  if (!why_not.empty()) {
    return fmt::format("failed {}\n", why_not);
  }
  commands_.push_back(command);
  return std::nullopt;
}

Control::Answer Control::reload(Client client) {
  const std::string why_not = master_.reload();
  if (!why_not.empty()) {
    master_.change().end_trial();
  }
  return wait_for({client, Command::Kind::generation, master_.change().awaited()}, why_not);
}

Control::Answer Control::scale(Client client, const std::string& argument) {
  const Generation* current = master_.with_workers();
  if (current == nullptr) {
    return "failed there are no workers, or they are leaving; a reload starts new ones\n";
  }
  const std::optional<std::int64_t> wanted = whole_number(argument);
  if (!wanted || *wanted < 1 || *wanted > current->most()) {
    return fmt::format("failed scale takes 1 to {} workers\n", current->most());
  }
  const int failed_starts = current->starts().failed();
  master_.scale(static_cast<int>(*wanted));
  return wait_for({client, Command::Kind::scale, current->number(), failed_starts});
}

// What a command has come to; nothing while it is under way.
std::optional<std::string> Control::outcome(const Command& command) const {
  switch (command.kind) {
    case Command::Kind::generation:
      if (const Generation* current = master_.current();
          current != nullptr && current->number() >= command.generation) {
        return fmt::format("ok generation {} serves", current->number());
      }
      if (const std::string* why = master_.change().failure_of(command.generation)) {
        return fmt::format("failed generation {} could not start: {}", command.generation, *why);
      }
      return master_.stopping() ? std::optional<std::string>("failed the server is stopping")
                                : std::nullopt;
    case Command::Kind::reopen:
      return reopen_outcome();
    case Command::Kind::scale:
      return scale_outcome(command);
    case Command::Kind::upgrade:
      return master_.upgrade_outcome();
    case Command::Kind::stop:
      return master_.stop_outcome();
  }
  return std::nullopt;
}

// Which processes have failed; each has said why in the file that it goes on with.
std::optional<std::string> Control::reopen_outcome() const {
  if (!master_.logs_reopened()) {
    return std::nullopt;
  }
  const std::vector<std::string> failures = master_.reopen_failures();
  return failures.empty() ? "ok logs are reopened"
                          : fmt::format(
                                "failed the log could not be reopened by {}; the old file stays "
                                "in use there and says why",
                                fmt::join(failures, ", "));
}

std::optional<std::string> Control::scale_outcome(const Command& command) const {
  if (master_.stopping()) {
    return "failed the server is stopping";
  }
  const Generation* current = master_.with_workers();
  if (current == nullptr) {
    return "failed the workers are leaving";
  }
  if (current->settled()) {
    return fmt::format("ok {} workers", current->wanted());
  }
  if (current->number() == command.generation &&
      current->starts().failed() > command.failed_starts) {
    return fmt::format("failed {}; it is tried again", current->starts().last_failed());
  }
  return std::nullopt;
}

void Control::resolve() {
  bool answered = false;
  std::erase_if(commands_, [this](const Command& command) {
    return !endpoints_[command.client.endpoint]->has(command.client.id);
  });
  std::erase_if(commands_, [this, &answered](const Command& command) {
    const std::optional<std::string> text = outcome(command);
    if (text) {
      endpoints_[command.client.endpoint]->answer(command.client.id, *text + "\n");
      answered = true;
    }
    return text.has_value();
  });
  if (answered && !master_.stopped()) {  // or else it is finish() that writes them
    attend();                            // which may take in further commands
  }
  if (commands_.empty()) {
    master_.change().forget_failures();
  }
}

Control::Answer Control::answer_http(Client client, const std::string& request) {
  std::istringstream line(request);
  std::string method;
  std::string target;
  line >> method >> target;
  target.resize(std::min(target.find('?'), target.size()));
  if (method != "GET") {
    return http_answer("405 Method Not Allowed", "text/plain", "only GET\n");
  }
  if (target != "/" && target != "/metrics") {
    return http_answer("404 Not Found", "text/plain", "there are / and /metrics\n");
  }
  return answer_with_stats(client, target == "/" ? json_page : metrics_page);
}

Control::Answer Control::answer_with_stats(Client client, StatsText text) {
  stats_askers_.push_back({client, std::move(text)});
  if (memory_.under_way()) {
    return std::nullopt;  // what it finds is new enough
  }
  try {
    memory_.begin(master_.worker_pids());
  } catch (const std::exception& error) {
    const std::string reason = error.what();
    sink_.write(log::EventKind::not_measured, {},
                "the memory of the workers can not be measured: " + reason, {{"reason", reason}});
    answer_stats_askers();
  }
  return std::nullopt;
}

void Control::answer_stats_askers() {
  const Stats now = master_.stats(memory_.found());
  for (const StatsAsker& asker : std::exchange(stats_askers_, {})) {
    endpoints_[asker.client.endpoint]->answer(asker.client.id, asker.text(now));
  }
}

}  // namespace forktail::server
