// A story as text for a terminal: the verdict, the phases as bars, the lines on one clock.
#pragma once

#include <string>

#include "story/source/source.h"
#include "story/tell/story.h"

namespace forktail::story {

struct TerminalOptions {
  std::size_t columns = 80;
  bool colour = false;
  bool unicode = false;  // bars of block characters instead of #
};

// What is asked for by the terminal behind standard output, NO_COLOR, COLUMNS and the locale.
TerminalOptions terminal_options();

std::string as_text(const Request& request, const Sources& sources, const TerminalOptions& options);

// One line of a log, for when the whole is not known yet.
std::string as_line(const Event& event, const TerminalOptions& options);

// One line for each of several requests: what differs of their ids, when, what.
std::string as_list(const Story& story, const TerminalOptions& options);

// What was read, how, and what was not.
std::string reading_as_text(const Sources& sources, const Found& found,
                            const TerminalOptions& options);

}  // namespace forktail::story
