// What the commands that read logs have in common: which logs, which stretch of time, which
// formats.
//
// For the command line alone.
#pragma once

#include <string>
#include <vector>

#include "story/read/reader.h"
#include "story/search/find.h"
#include "story/source/source.h"

namespace CLI {
class App;
}

namespace forktail::cli {

struct StoryOptions {
  std::vector<std::string> logs;
  std::string since;
  std::string until;
  std::vector<std::string> log_formats;
  std::string nginx_conf;
  std::string zone;
  bool json = false;
};

void add_story_options(CLI::App& command, StoryOptions& options);

// Throws CLI::ValidationError when a time or zone is none.
story::TimeRange range_of(const StoryOptions& options, story::Micros now);
story::ReaderOptions reader_options_of(const StoryOptions& options, story::Micros now);

// Opens what is named, and says on standard error what of it can not be read.
story::Sources open_logs(const StoryOptions& options, const char* command, bool with_rotated);

// Writes all of `text` to standard output. False when that fails.
bool print_out(const std::string& text);

// Shows how far a long reading is: on a terminal, after a second, twice a second.
std::function<void(std::uint64_t, std::uint64_t)> progress_on_terminal();
void clear_progress();

}  // namespace forktail::cli
