#include "cli/top.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/ask.h"
#include "cli/top_table.h"
#include "cli/values.h"

namespace forktail::cli {

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

struct Options {
  std::string stats;
  std::chrono::milliseconds interval{1000};
  bool json = false;
};

// Handlers can reach nothing but static storage.
volatile sig_atomic_t told_to_end = 0;

void end(int) { told_to_end = 1; }

std::string ask_stats(const std::string& address) {
  constexpr int kPatience = 5;
  return ask(address, "", "stats", kPatience);
}

Json parse(const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception&) {
    throw std::runtime_error("what listens there is no stats socket: it did not answer with JSON");
  }
}

std::vector<std::string> table(const Json& stats, std::optional<double> rate) {
  try {
    return top_table(stats, rate);
  } catch (const Json::exception& error) {
    throw std::runtime_error(fmt::format("the stats are not as expected: {}", error.what()));
  }
}

// Requests a second between two looks.
class Rate {
 public:
  std::optional<double> next(const Json& stats) {
    if (!stats.contains("requests")) {
      return std::nullopt;  // uWSGI's
    }
    const auto now = Clock::now();
    const auto count = stats.value("requests", std::uint64_t{0});
    std::optional<double> rate;
    if (since_ && count >= count_) {
      rate = static_cast<double>(count - count_) /
             std::chrono::duration<double>(now - *since_).count();
    }
    since_ = now;
    count_ = count;
    return rate;
  }

 private:
  std::optional<Clock::time_point> since_;
  std::uint64_t count_ = 0;
};

// As many lines as the terminal has room for, each cut to its width.
std::string frame(const std::vector<std::string>& lines) {
  winsize size{};
  ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
  const std::size_t rows = size.ws_row == 0 ? 24 : size.ws_row;
  const std::size_t columns = size.ws_col == 0 ? 80 : size.ws_col;
  std::string text = "\x1b[H";  // to the upper left corner
  for (std::size_t i = 0; i < std::min(lines.size(), rows); ++i) {
    text += (i == 0 ? "" : "\n") + lines[i].substr(0, columns) + "\x1b[K";
  }
  return text + "\x1b[J";  // and nothing below
}

void write_out(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int watch(const Options& options) {
  struct sigaction action {};
  action.sa_handler = end;
  for (const int signal : {SIGINT, SIGTERM}) {
    sigaction(signal, &action, nullptr);
  }
  Rate rate;
  Json first = parse(ask_stats(options.stats));
  write_out("\x1b[?25l\x1b[2J");  // without the cursor
  const timespec pause{options.interval.count() / 1000,
                       options.interval.count() % 1000 * 1'000'000};
  while (told_to_end == 0) {
    std::vector<std::string> lines;
    try {
      const Json stats = first.is_null() ? parse(ask_stats(options.stats)) : first;
      lines = table(stats, rate.next(stats));
    } catch (const std::runtime_error& error) {
      if (!first.is_null()) {
        write_out("\x1b[?25h");
        throw;
      }
      lines = {error.what(), "", "trying again ..."};  // it may be starting anew
    }
    first = nullptr;
    write_out(frame(lines));
    nanosleep(&pause, nullptr);
  }
  write_out("\n\x1b[?25h");
  return 0;
}

int show_once(const Options& options) {
  const std::string text = ask_stats(options.stats);
  const Json stats = parse(text);
  if (options.json) {
    write_out(text);
    return 0;
  }
  for (const std::string& line : table(stats, std::nullopt)) {
    write_out(line + "\n");
  }
  return 0;
}

int run(const Options& options) {
  try {
    return options.json || isatty(STDOUT_FILENO) == 0 ? show_once(options) : watch(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "forktail top: {}\n", error.what());
    return 1;
  }
}

}  // namespace

void add_top_command(CLI::App& forktail, int& exit_code) {
  CLI::App* command = forktail.add_subcommand(
      "top", "show what each worker is at: again and again on a terminal, once otherwise");
  const auto options = std::make_shared<Options>();
  command->add_option("-s,--stats", options->stats, "the server's stats socket")
      ->envname("FORKTAIL_STATS")
      ->required()
      ->type_name("ADDRESS");
  command
      ->add_option_function<std::string>(
          "-i,--interval",
          [options](const std::string& text) {
            options->interval =
                std::max(parse_duration("interval", text), std::chrono::milliseconds(10));
          },
          "how long until it is shown again (default 1s)")
      ->type_name("TIME");
  command->add_flag("--json", options->json, "the stats as they are, once");
  command->footer("Exit code: 0 shown, 1 the server does not answer, 2 the command line is wrong.");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace forktail::cli
