#include <algorithm>
#include <array>

#include "story/read/dialects.h"
#include "story/read/fields.h"
#include "story/text.h"

namespace forktail::story {
namespace {

void add_all(EventBuilder& builder, const std::vector<Pair>& values) {
  for (const Pair& value : values) {
    if (value.value != "-") {
      builder.add(value.key, value.value);
    }
  }
}

// The quoted request of a line, or what a client sent in its place (a TLS hello): the first quoted
// text behind a stamp in brackets.
std::size_t request_behind(std::string_view line, std::size_t bracket, std::string_view& request) {
  const std::size_t open = line.find('"', bracket);
  const std::size_t close = open == std::string_view::npos ? open : line.find('"', open + 1);
  if (close == std::string_view::npos || open > bracket + 64) {
    return std::string_view::npos;
  }
  request = line.substr(open + 1, close - open - 1);
  return close + 1;
}

bool plausible_status(std::string_view word) {
  return word.size() == 3 && std::all_of(word.begin(), word.end(), is_digit);
}

// ` 200 54`: numbers behind the request.
std::string_view number_at(std::string_view line, std::size_t& at) {
  while (at < line.size() && line[at] == ' ') {
    ++at;
  }
  const std::size_t from = at;
  while (at < line.size() && is_digit(line[at])) {
    ++at;
  }
  return line.substr(from, at - from);
}

// rt=0.003 uct="-, 0.001" request_id=...: named values, wherever they stand behind the status.
void add_named(std::string_view rest, EventBuilder& builder) {
  for (std::size_t equals = rest.find('='); equals != std::string_view::npos;
       equals = rest.find('=')) {
    std::size_t from = equals;
    while (from > 0 &&
           (is_letter(rest[from - 1]) || is_digit(rest[from - 1]) || rest[from - 1] == '_')) {
      --from;
    }
    const std::string_view name = rest.substr(from, equals - from);
    rest.remove_prefix(equals + 1);
    const bool quoted = rest.starts_with('"');
    const std::size_t end = quoted ? rest.find('"', 1) : rest.find_first_of(" \t");
    const std::string_view value =
        rest.substr(quoted ? 1 : 0, end == std::string_view::npos ? end : end - (quoted ? 1 : 0));
    if (value != "-") {
      builder.add(name, value);
    }
    rest.remove_prefix(std::min(end, rest.size()));
  }
}

// Quoted texts are what clients send: an id there is no id of the request's, unless the whole of it
// is one.
std::string unquoted(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size();) {
    if (line[i] != '"') {
      out += line[i++];
      continue;
    }
    const std::size_t close = std::min(line.find('"', i + 1), line.size() - 1);
    const std::string_view inside = line.substr(i + 1, close - std::min(close, i + 1));
    if (!inside.empty() && id_like_at(inside, 0).size() == inside.size()) {
      out.append(" ").append(inside).append(" ");
    }
    i = close + 1;
  }
  return out;
}

bool guess_access(std::string_view line, Event& event, Micros now) {
  const std::size_t bracket = line.find('[');
  std::size_t used = 0;
  if (bracket == std::string_view::npos || bracket > 256 ||
      !stamp_at(line.substr(bracket + 1), used, now)) {
    return false;
  }
  std::string_view request;
  std::size_t at = request_behind(line, bracket + used, request);
  if (at == std::string_view::npos) {
    return false;
  }
  const std::string_view status = number_at(line, at);
  if (!plausible_status(status)) {
    return false;
  }
  EventBuilder builder(event, now);
  builder.add("time_local", line.substr(bracket + 1, used));
  builder.add("remote_addr", line.substr(0, line.find(' ')));
  builder.add("request", request);
  builder.add("status", status);
  builder.add("bytes", number_at(line, at));
  add_named(line.substr(at), builder);
  builder.finish();
  event.kind = Kind::access;
  if (event.id.empty()) {
    const std::string behind = unquoted(line.substr(at));
    std::string_view id = last_id_like(behind);
    const std::string front = unquoted(line.substr(0, bracket));
    event.id = id.empty() ? last_id_like(front) : id;
  }
  return true;
}

}  // namespace

bool read_access(std::string_view line, const AccessFormats& formats, Event& event, Micros now) {
  for (const AccessFormat& format : formats) {
    if (const auto values = format.names_itself() ? std::nullopt : format.match(line)) {
      Event trial;
      EventBuilder builder(trial, now);
      add_all(builder, *values);
      builder.finish();
      if (trial.stamp.at != kUnknown) {
        trial.kind = Kind::access;
        event = std::move(trial);
        return true;
      }
    }
  }
  return guess_access(line, event, now);
}

}  // namespace forktail::story
