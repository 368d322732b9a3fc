#include "cli/trace.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "cli/story_options.h"
#include "story/search/find.h"
#include "story/search/follow.h"
#include "story/show/html.h"
#include "story/show/json.h"
#include "story/show/otlp.h"
#include "story/show/terminal.h"
#include "story/tell/story.h"
#include "story/text.h"

namespace forktail::cli {
namespace {

constexpr int kFound = 0;
constexpr int kNone = 1;

struct Options {
  StoryOptions common;
  std::string id;
  std::string html;
  std::string otlp;
  bool scan = false;
  bool follow = false;
  bool verbose = false;
};

// Handlers can reach nothing but static storage.
volatile sig_atomic_t trace_ended = 0;

void end_trace(int) { trace_ended = 1; }

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    throw std::runtime_error(fmt::format("{}: {}: name a file that can be written", path,
                                         std::generic_category().message(errno)));
  }
}

bool differ(const story::Story& story) {
  return std::any_of(
      story.requests.begin(), story.requests.end(),
      [&](const story::Request& request) { return request.id != story.requests.front().id; });
}

// Of several ids that begin or end so, one may be the very one.
void keep_equal(story::Story& story, const story::IdQuery& query) {
  const auto equal = [&](const story::Request& request) { return query.equals(request.id); };
  if (std::any_of(story.requests.begin(), story.requests.end(), equal)) {
    std::erase_if(story.requests, [&](const story::Request& request) { return !equal(request); });
  }
}

std::string text_of(const story::Story& story, const story::Sources& sources,
                    const story::Found& found, bool verbose) {
  const story::TerminalOptions terminal = story::terminal_options();
  std::string out;
  if (differ(story)) {
    out = story::as_list(story, terminal);
  } else {
    for (const story::Request& request : story.requests) {
      out += out.empty() ? "" : "\n";
      out += story::as_text(request, sources, terminal);
    }
  }
  for (const std::string& note : story.notes) {
    out += "\n" + note + "\n";
  }
  if (verbose) {
    out += "\n" + story::reading_as_text(sources, found, terminal);
  }
  return out;
}

// Prints the lines of the id as they come, until Ctrl-C or the end of all pipes. Whether any came.
bool follow(const story::Sources& sources, const story::IdQuery& query,
            const story::FindOptions& find) {
  struct sigaction action {};
  action.sa_handler = end_trace;
  for (const int signal : {SIGINT, SIGTERM}) {
    sigaction(signal, &action, nullptr);
  }
  constexpr timespec kPause{0, 100'000'000};
  const story::TerminalOptions terminal = story::terminal_options();
  story::Follower follower(sources, query, find);
  bool any = false;
  while (trace_ended == 0) {
    const bool last_look = follower.over();
    follower.look([&](const story::Event& event) {
      any = true;
      if (!print_out(story::as_line(event, terminal))) {
        trace_ended = 1;  // nobody reads any more
      }
    });
    if (last_look) {
      break;
    }
    nanosleep(&kPause, nullptr);
  }
  return any;
}

struct Told {
  story::Story story;
  story::Found reading;  // without its lines
};

Told find_and_tell(const Options& options, const story::Sources& sources,
                   const story::IdQuery& query, const story::FindOptions& find) {
  story::Found found = story::find_id(sources, query, find);
  clear_progress();
  Told told;
  told.reading.reports = found.reports;
  if (found.scanned && !sources.empty()) {
    fmt::print(stderr,
               "forktail trace: nothing stands where the id's time says: read everything\n");
  }
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (const std::string& note = found.reports[i].note; !note.empty() && !options.common.json) {
      fmt::print(stderr, "forktail trace: {}: {}\n", story::printable(sources[i]->name(), 300),
                 note);
    }
  }
  told.story = story::tell(std::move(found));
  keep_equal(told.story, query);
  return told;
}

void show(const Options& options, const story::Sources& sources, const Told& told) {
  if (options.common.json) {
    print_out(story::as_json(told.story, sources, told.reading, options.id));
  } else if (!told.story.requests.empty()) {
    print_out(text_of(told.story, sources, told.reading, options.verbose));
  }
  if (!options.html.empty()) {
    write_file(options.html, story::as_html(told.story, sources));
  }
  if (!options.otlp.empty()) {
    write_file(options.otlp, story::as_otlp(told.story));
  }
}

int run(const Options& options) {
  const story::Micros now = story::now_in_micros();
  std::string why;
  const auto query = story::IdQuery::parse(options.id, now, why);
  if (!query) {
    throw CLI::ValidationError("ID", why);
  }
  story::FindOptions find;
  find.reader = reader_options_of(options.common, now);
  find.only = range_of(options.common, now);
  find.scan = options.scan;
  find.progress = progress_on_terminal();
  const story::Sources sources = open_logs(options.common, "trace", !options.follow);
  const bool pipes = std::any_of(sources.begin(), sources.end(), [](const auto& source) {
    return source->packing() == story::Packing::pipe;
  });
  Told told;
  if (!(options.follow && pipes)) {  // a pipe is followed from its beginning
    told = find_and_tell(options, sources, *query, find);
    show(options, sources, told);
  }
  bool found = !told.story.requests.empty();
  if (options.follow) {
    found = follow(sources, *query, find) || found;
  }
  if (!found && !sources.empty()) {
    fmt::print(stderr, "forktail trace: {} log(s) hold no request with the id {}\n", sources.size(),
               options.id);
  }
  return found ? kFound : kNone;
}

}  // namespace

void add_trace_command(CLI::App& forktail, int& exit_code) {
  CLI::App* command = forktail.add_subcommand(
      "trace", "what happened to a request: its lines in all logs, as one story");
  const auto options = std::make_shared<Options>();
  command
      ->add_option("ID", options->id,
                   "the request's id, or 6 or more characters of its beginning or end")
      ->required();
  add_story_options(*command, options->common);
  command->add_option("--html", options->html, "also as a page that needs nothing else")
      ->type_name("FILE");
  command
      ->add_option("--otlp", options->otlp,
                   "also as OTLP JSON lines, for Jaeger, Grafana, otel-tui or a collector")
      ->type_name("FILE");
  command->add_flag("-f,--follow", options->follow, "then go on, and show its lines as they come");
  command->add_flag("--scan", options->scan, "do not go by the id's time: read all logs whole");
  command->add_flag("-v,--verbose", options->verbose, "also what was read, and how");
  command->footer("Exit code: 0 found, 1 none, 2 the command line is wrong.");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace forktail::cli
