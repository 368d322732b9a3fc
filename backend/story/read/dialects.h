// Readers of single kinds of lines. Each takes a line without its wrapping, and says whether it is
// one of its own; then the event is filled.
//
// Pure functions; any thread. `now` is for stamps without a year.
#pragma once

#include <string_view>
#include <vector>

#include "story/event.h"
#include "story/read/access_format.h"

namespace forktail::story {

// A JSON object with names of the vocabulary: nginx's, forktail's, anybody's.
bool read_json(std::string_view line, Event& event, Micros now);

// `name:value` with tabs between.
bool read_ltsv(std::string_view line, Event& event, Micros now);

// forktail's `log-format = text`.
bool read_forktail_text(std::string_view line, Event& event, Micros now);

// 2026/11/28 05:19:31 [error] 8308#8308: *1 ...
bool read_nginx_error(std::string_view line, Event& event, Micros now);

// By a known log_format, else by what a quoted request, a stamp and a status look like.
bool read_access(std::string_view line, const AccessFormats& formats, Event& event, Micros now);

// uWSGI's, gunicorn's, the kernel's and Docker's lines about processes, and uWSGI's request line.
bool read_process_line(std::string_view line, Event& event, Micros now);

// Any other text: its stamp, level, and the first thing that looks like an id.
void read_plain(std::string_view line, Event& event, Micros now);

// What looks like an id at `at`: 32 hex digits or a UUID, not a part of something longer.
std::string_view id_like_at(std::string_view line, std::size_t at);
// The last or the first such thing of a line; empty when there is none.
std::string_view first_id_like(std::string_view line);
std::string_view last_id_like(std::string_view line);

}  // namespace forktail::story
