#include <algorithm>
#include <array>

#include "id/validate.h"
#include "story/read/dialects.h"
#include "story/read/fields.h"
#include "story/text.h"

namespace forktail::story {
namespace {

std::string_view next_word(std::string_view& text) {
  const std::size_t blank = text.find(' ');
  const std::string_view word = text.substr(0, blank);
  text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  return word;
}

bool is_level(std::string_view word) {
  static constexpr std::array<std::string_view, 6> kLevels{"trace", "debug", "info",
                                                           "warn",  "error", "critical"};
  return std::find(kLevels.begin(), kLevels.end(), word) != kLevels.end();
}

// "event=\"slow\"" or "ms=1200.5"
void add_field(std::string_view part, EventBuilder& builder) {
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) {
    return;
  }
  std::string_view value = part.substr(equals + 1);
  if (value.size() > 1 && value.starts_with('"') && value.ends_with('"')) {
    value = value.substr(1, value.size() - 2);
  }
  builder.add(part.substr(0, equals), value);
}

// The number behind a letter: "w3".
void add_numbered(std::string_view word, char letter, std::string_view name,
                  EventBuilder& builder) {
  if (word.starts_with(letter)) {
    builder.add(name, word.substr(1));
  }
}

bool of_an_id(char c) { return is_hex(c) || c == '-'; }

std::string_view level_of(std::string_view line) {
  static constexpr std::array<std::string_view, 9> kWords{
      "CRITICAL", "FATAL", "ERROR", "WARNING", "WARN", "INFO", "DEBUG", "error", "warning"};
  const std::string_view front = line.substr(0, 120);
  for (const std::string_view word : kWords) {
    const std::size_t at = front.find(word);
    if (at != std::string_view::npos && (at == 0 || !is_letter(front[at - 1])) &&
        (at + word.size() == front.size() || !is_letter(front[at + word.size()]))) {
      return word;
    }
  }
  return {};
}

}  // namespace

bool read_forktail_text(std::string_view line, Event& event, Micros now) {
  std::string_view rest = line.substr(0, line.find('\t'));
  const std::string_view stamp = next_word(rest);
  const std::string_view level = next_word(rest);
  if (stamp.size() != 27 || !stamp.ends_with('Z') || !is_level(level)) {
    return false;
  }
  EventBuilder builder(event, now);
  builder.add("ts", stamp);
  builder.add("level", level);
  builder.add("request_id", next_word(rest));
  const std::string_view process = next_word(rest);
  const std::size_t slash = process.find('/');
  builder.add("pid", process.substr(0, slash));
  builder.add("tid", slash == std::string_view::npos ? "" : process.substr(slash + 1));
  add_numbered(next_word(rest), 'w', "worker", builder);
  add_numbered(next_word(rest), 'g', "gen", builder);
  add_numbered(next_word(rest), '#', "seq", builder);
  next_word(rest);  // the source
  builder.add("msg", rest);
  for (std::size_t tab = line.find('\t'); tab != std::string_view::npos; tab = line.find('\t')) {
    line.remove_prefix(tab + 1);
    add_field(line.substr(0, line.find('\t')), builder);
  }
  builder.finish();
  return event.stamp.at != kUnknown && event.seq >= 0;
}

std::string_view id_like_at(std::string_view line, std::size_t at) {
  const bool inside =
      at > 0 && (is_letter(line[at - 1]) || is_digit(line[at - 1]) || line[at - 1] == '-');
  if (at >= line.size() || !is_hex(line[at]) || inside) {
    return {};
  }
  std::size_t end = at;
  while (end < line.size() && of_an_id(line[end])) {
    ++end;
  }
  const std::string_view word = line.substr(at, end - at);
  if (end < line.size() && (is_letter(line[end]) || line[end] == '_')) {
    return {};
  }
  const auto dashes = std::count(word.begin(), word.end(), '-');
  const bool hex = word.size() == 32 && dashes == 0;
  const bool uuid = word.size() == 36 && dashes == 4 && word[8] == '-' && word[13] == '-' &&
                    word[18] == '-' && word[23] == '-';
  return hex || uuid ? word : std::string_view();
}

std::string_view first_id_like(std::string_view line) {
  for (std::size_t i = 0; i + 32 <= line.size(); ++i) {
    if (const std::string_view id = id_like_at(line, i); !id.empty()) {
      return id;
    }
  }
  return {};
}

std::string_view last_id_like(std::string_view line) {
  for (std::size_t i = line.size() < 32 ? 0 : line.size() - 32 + 1; i-- > 0;) {
    if (const std::string_view id = id_like_at(line, i); !id.empty()) {
      return id;
    }
  }
  return {};
}

void read_plain(std::string_view line, Event& event, Micros now) {
  if (const auto stamp = find_stamp(line, now)) {
    event.stamp = *stamp;
    event.kind = Kind::app;
  }
  event.level = lower(level_of(line));
  event.message = line;
  event.id = first_id_like(line);
}

}  // namespace forktail::story
