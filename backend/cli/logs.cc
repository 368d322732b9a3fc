#include "cli/logs.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "cli/story_options.h"
#include "cli/values.h"
#include "story/join/gather.h"
#include "story/join/verify.h"
#include "story/show/rows.h"
#include "story/text.h"

namespace forktail::cli {
namespace {

constexpr int kSomething = 0;
constexpr int kNothing = 1;

struct Options {
  StoryOptions common;
  std::size_t count = 20;
  story::Micros over = 0;
  story::Micros around = 0;
  std::string time;
};

// The logs, and how to go through them.
struct Logs {
  Logs(const Options& options, const char* command) : now(story::now_in_micros()) {
    walk.only = range_of(options.common, now);
    walk.reader = reader_options_of(options.common, now);
    walk.progress = progress_on_terminal();
    sources = open_logs(options.common, command, true);
  }

  story::Micros now;
  story::WalkOptions walk;
  story::Sources sources;
};

void tell_troubles(const char* command, const std::vector<std::string>& troubles) {
  clear_progress();
  for (const std::string& trouble : troubles) {
    fmt::print(stderr, "forktail {}: {}\n", command, story::printable(trouble, 500));
  }
}

int show(const Options& options, const std::vector<story::Row>& rows, bool phases) {
  if (options.common.json) {
    print_out(story::rows_as_json(rows));
  } else if (!rows.empty()) {
    print_out(story::rows_as_text(rows, phases, story::terminal_options()));
  }
  return rows.empty() ? kNothing : kSomething;
}

int run_slow(const Options& options) {
  Logs logs(options, "slow");
  story::Walked walked;
  const auto rows = story::slowest(logs.sources, logs.walk, options.count, options.over, walked);
  tell_troubles("slow", walked.troubles);
  if (rows.empty()) {
    fmt::print(stderr, "forktail slow: no such request in {} lines\n", walked.lines);
  }
  return show(options, rows, true);
}

int run_errors(const Options& options) {
  Logs logs(options, "errors");
  story::Walked walked;
  std::uint64_t total = 0;
  const auto rows = story::failed(logs.sources, logs.walk, options.count, total, walked);
  tell_troubles("errors", walked.troubles);
  if (rows.empty()) {
    fmt::print(stderr, "forktail errors: none in {} lines\n", walked.lines);
  } else if (total > rows.size() && !options.common.json) {
    fmt::print(stderr, "forktail errors: the latest {} of {}; -n N shows more\n", rows.size(),
               total);
  }
  return show(options, rows, false);
}

int run_at(const Options& options) {
  Logs logs(options, "at");
  const auto at = story::stamp_from_human(options.time, logs.now);
  if (!at) {
    throw CLI::ValidationError("TIME",
                               fmt::format("\"{}\" is no time: write one like "
                                           "2026-11-28T06:00:03Z, 06:00:03, -10m or @1795845603",
                                           options.time));
  }
  // A request's lines stand where it ended: so long behind, at most.
  constexpr story::Micros kLongest = 600 * story::kSecond;
  const story::Micros around = std::max(options.around, at->grain / 2);
  const story::Micros middle = at->at + at->grain / 2;
  if (logs.walk.only.from == story::kUnknown) {
    logs.walk.only.from = middle - around - story::kSecond;
  }
  if (logs.walk.only.to == story::kUnknown) {
    logs.walk.only.to = middle + around + kLongest;
  }
  story::Walked walked;
  const auto rows = story::in_flight(logs.sources, logs.walk, middle, around, walked);
  tell_troubles("at", walked.troubles);
  if (rows.empty()) {
    fmt::print(stderr, "forktail at: nothing was in flight at {} UTC\n",
               story::date_and_time(at->at, at->grain));
  }
  return show(options, rows, true);
}

int run_verify(const Options& options) {
  Logs logs(options, "verify");
  const story::Verification found = story::verify(logs.sources, logs.walk, options.count);
  tell_troubles("verify", found.troubles);
  print_out(options.common.json ? story::verification_as_json(found)
                                : story::verification_as_text(found, story::terminal_options()));
  const bool read = found.lines > 0 && found.troubles.empty();
  return found.good() && read ? kSomething : kNothing;
}

CLI::App* add(CLI::App& forktail, const char* name, const char* what,
              const std::shared_ptr<Options>& options) {
  CLI::App* command = forktail.add_subcommand(name, what);
  add_story_options(*command, options->common);
  command->add_option("-n,--count", options->count, "how many to show (default 20)")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000));
  return command;
}

void add_duration(CLI::App& command, const char* name, story::Micros& target, const char* what) {
  command
      .add_option_function<std::string>(
          name,
          [name, &target](const std::string& text) {
            target = parse_duration(name, text).count() * story::kMillisecond;
          },
          what)
      ->type_name("TIME");
}

}  // namespace

void add_slow_command(CLI::App& forktail, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add(forktail, "slow", "the slowest requests, and where their time went", options);
  add_duration(*command, "--over", options->over,
               "only those that took so long or longer (default 0: all)");
  command->footer("Exit code: 0 found, 1 none, 2 the command line is wrong.");
  command->callback([options, &exit_code] { exit_code = run_slow(*options); });
}

void add_errors_command(CLI::App& forktail, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add(forktail, "errors", "the latest requests that went wrong, and why", options);
  command->footer("Exit code: 0 found, 1 none, 2 the command line is wrong.");
  command->callback([options, &exit_code] { exit_code = run_errors(*options); });
}

void add_at_command(CLI::App& forktail, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add(forktail, "at", "the requests that were in flight at a time", options);
  command->add_option("TIME", options->time, "2026-11-28T06:00:03Z, 06:00:03, -10m, @1795845603.5")
      ->required();
  add_duration(
      *command, "--around", options->around,
      "also those that were in flight so long before or after (default: as exact as TIME is)");
  command->footer("Exit code: 0 found, 1 none, 2 the command line is wrong.");
  command->callback([options, &exit_code] { exit_code = run_at(*options); });
}

void add_verify_command(CLI::App& forktail, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add(forktail, "verify", "whether all lines of all logs join: lost, torn and duplicate ones",
          options);
  command->footer("Exit code: 0 all lines join, 1 something is off, 2 the command line is wrong.");
  command->callback([options, &exit_code] { exit_code = run_verify(*options); });
}

}  // namespace forktail::cli
