#include "cli/story_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <system_error>

#include "story/text.h"

namespace forktail::cli {
namespace {

constexpr const char* kDefaultConfiguration = "/etc/nginx/nginx.conf";

story::Micros time_of(const char* option, const std::string& text, story::Micros now) {
  const auto stamp = story::stamp_from_human(text, now);
  if (!stamp) {
    throw CLI::ValidationError(
        option, fmt::format("\"{}\" is no time: write one like 2026-11-28T06:00:03Z, "
                            "\"2026-11-28 06:00:03\", 06:00:03, -10m or @1795845603",
                            text));
  }
  return stamp->at;
}

// "+01:00", "-0530", "UTC"
story::Micros zone_of(const std::string& text) {
  if (text == "UTC" || text == "Z") {
    return 0;
  }
  std::size_t used = 0;
  const std::string stamp = "2000-01-01T00:00:00" + text;
  const auto read = story::stamp_at(stamp, used, 0);
  if (!read || !read->zoned || used != stamp.size()) {
    throw CLI::ValidationError(
        "--zone", fmt::format("\"{}\" is no zone: write one like +01:00 or UTC", text));
  }
  constexpr story::Micros kYear2000 = INT64_C(946'684'800) * story::kSecond;
  return kYear2000 - read->at;
}

std::atomic<bool> progress_shown = false;

}  // namespace

void add_story_options(CLI::App& command, StoryOptions& options) {
  command
      .add_option("-l,--logs", options.logs,
                  "log files and directories; - is the standard input (default: FORKTAIL_LOGS, "
                  "colons between, else the usual places under /var/log)")
      ->type_name("PATH...");
  command.add_option("--since", options.since, "nothing before this time")->type_name("TIME");
  command.add_option("--until", options.until, "nothing from this time on")->type_name("TIME");
  command
      .add_option("--log-format", options.log_formats,
                  "an access log's log_format, as in nginx.conf; may be given again")
      ->type_name("FORMAT")
      ->allow_extra_args(false);
  command
      .add_option("--nginx-conf", options.nginx_conf,
                  fmt::format("where to read log_formats from (default {})", kDefaultConfiguration))
      ->type_name("FILE");
  command
      .add_option("--zone", options.zone,
                  "of times that tell none, as in nginx's error log (default: this machine's; ids "
                  "that bear their time correct it)")
      ->type_name("ZONE");
  command.add_flag("--json", options.json, "as JSON");
}

story::TimeRange range_of(const StoryOptions& options, story::Micros now) {
  story::TimeRange range;
  if (!options.since.empty()) {
    range.from = time_of("--since", options.since, now);
  }
  if (!options.until.empty()) {
    range.to = time_of("--until", options.until, now);
  }
  if (range.from != story::kUnknown && range.to != story::kUnknown && range.from >= range.to) {
    throw CLI::ValidationError("--until", "is not after --since");
  }
  return range;
}

story::ReaderOptions reader_options_of(const StoryOptions& options, story::Micros now) {
  story::ReaderOptions reader;
  reader.now = now;
  reader.zone = options.zone.empty() ? story::local_offset(now) : zone_of(options.zone);
  story::AccessFormats formats;
  for (const std::string& text : options.log_formats) {
    formats.emplace_back("given", text);
  }
  const bool named = !options.nginx_conf.empty();
  const std::string path = named ? options.nginx_conf : kDefaultConfiguration;
  std::string trouble;
  if (named || access(path.c_str(), R_OK) == 0) {
    for (story::AccessFormat& format : story::formats_of_configuration(path, trouble)) {
      formats.push_back(std::move(format));
    }
  }
  if (named && !trouble.empty()) {
    throw CLI::ValidationError("--nginx-conf", trouble);
  }
  for (story::AccessFormat& format : reader.formats) {
    formats.push_back(std::move(format));
  }
  reader.formats = std::move(formats);
  return reader;
}

story::Sources open_logs(const StoryOptions& options, const char* command, bool with_rotated) {
  const std::vector<std::string> paths =
      options.logs.empty() ? story::paths_from_environment() : options.logs;
  story::Discovery found = story::discover(paths, with_rotated);
  for (const std::string& trouble : found.troubles) {
    fmt::print(stderr, "forktail {}: {}\n", command, story::printable(trouble, 500));
  }
  const std::string denied = std::generic_category().message(EACCES);
  if (std::any_of(found.troubles.begin(), found.troubles.end(),
                  [&](const std::string& trouble) { return trouble.ends_with(denied); })) {
    fmt::print(stderr,
               "forktail {}: use sudo, or join the group that may read them (for /var/log, mostly "
               "adm)\n",
               command);
  }
  if (found.sources.empty()) {
    fmt::print(stderr, "forktail {}: there are no logs to read: name some with --logs PATH\n",
               command);
  }
  return std::move(found.sources);
}

bool print_out(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return std::fflush(stdout) == 0 && written;
}

std::function<void(std::uint64_t, std::uint64_t)> progress_on_terminal() {
  if (isatty(STDERR_FILENO) != 1) {
    return {};
  }
  using Clock = std::chrono::steady_clock;
  const auto begun = Clock::now();
  auto shown = std::make_shared<std::atomic<std::int64_t>>(0);
  return [begun, shown](std::uint64_t done, std::uint64_t total) {
    const auto now = (Clock::now() - begun) / std::chrono::milliseconds(1);
    std::int64_t last = *shown;
    if (now < 1000 || now - last < 500 || !shown->compare_exchange_strong(last, now)) {
      return;
    }
    progress_shown = true;
    // What is packed or comes by a pipe is longer than anybody knows.
    const std::string of = done <= total ? fmt::format(" of {}", total >> 20U) : std::string();
    fmt::print(stderr, "\r\x1b[Kreading: {}{} MB", done >> 20U, of);
  };
}

void clear_progress() {
  if (progress_shown.exchange(false)) {
    fmt::print(stderr, "\r\x1b[K");
  }
}

}  // namespace forktail::cli
