#include "story/read/wrapper.h"

#include <algorithm>

#include "story/read/json_pairs.h"
#include "story/source/line_reader.h"
#include "story/text.h"

namespace forktail::story {
namespace {

constexpr std::size_t kMostStreams = 64;

// A terminal's colour: ESC [ 33 m
std::string_view without_colour(std::string_view text) {
  while (text.size() > 2 && text[0] == '\x1b' && text[1] == '[') {
    const std::size_t end = text.find('m');
    if (end == std::string_view::npos || end > 12) {
      break;
    }
    text.remove_prefix(end + 1);
  }
  return text;
}

bool of_a_service(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '/';
}

// "[99, 97, 233]", journald's form of what is no UTF-8.
std::string bytes_of_list(std::string_view list) {
  std::string out;
  int value = -1;
  for (const char c : list) {
    if (is_digit(c)) {
      value = std::min(std::max(value, 0) * 10 + (c - '0'), 255);
    } else if (value >= 0) {
      out += static_cast<char>(value);
      value = -1;
    }
  }
  return out;
}

std::string text_of(const std::string* value) { return value == nullptr ? std::string() : *value; }

}  // namespace

bool Unwrapper::take(std::string_view line, Unwrapped& out) {
  out = {};
  out.text = line;
  partial_ = false;
  constexpr int kMostLayers = 4;
  for (int layer = 0; layer < kMostLayers && peel(out.text, out); ++layer) {
    out.carried = true;
    if (partial_) {
      return false;
    }
  }
  while (out.text.ends_with('\r')) {
    out.text.remove_suffix(1);
  }
  return true;
}

bool Unwrapper::peel(std::string_view line, Unwrapped& out) {
  if (line.empty()) {
    return false;
  }
  if (line[0] == '{') {
    return docker_json(line, out) || journal_json(line, out);
  }
  if (is_digit(line[0])) {
    return cri(line, out) || syslog(line, out) || stamped(line, out) || compose(line, out);
  }
  return syslog(line, out) || compose(line, out);
}

bool Unwrapper::join(const std::string& stream, std::string_view part, bool last, Unwrapped& out) {
  std::string& whole = parts_[stream];
  if (whole.size() < kLongestLine) {
    whole.append(part.substr(0, kLongestLine - whole.size()));
  }
  if (!last && parts_.size() <= kMostStreams) {
    partial_ = true;
    return true;
  }
  text_ = std::move(whole);
  parts_.erase(stream);
  out.text = text_;
  return true;
}

bool Unwrapper::docker_json(std::string_view line, Unwrapped& out) {
  if (!line.starts_with("{\"log\":")) {
    return false;
  }
  const JsonPairs json = json_pairs(line);
  const std::string* log = json.find("log");
  const std::string* time = json.find("time");
  std::size_t used = 0;
  const auto stamp = time == nullptr ? std::nullopt : stamp_at(*time, used, now_);
  if (log == nullptr || !stamp) {
    return false;
  }
  out.stamp = *stamp;
  if (const std::string tag = text_of(json.find("attrs.tag")); !tag.empty()) {
    out.service = tag;
  }
  const bool last = log->ends_with('\n');
  return join(text_of(json.find("stream")),
              std::string_view(*log).substr(0, log->size() - (last ? 1 : 0)), last, out);
}

bool Unwrapper::journal_json(std::string_view line, Unwrapped& out) {
  if (line.find("\"__REALTIME_TIMESTAMP\"") == std::string_view::npos) {
    return false;
  }
  const JsonPairs json = json_pairs(line);
  const auto stamp = epoch_stamp(text_of(json.find("__REALTIME_TIMESTAMP")));
  const std::string* message = json.find("MESSAGE");
  if (!stamp || message == nullptr) {
    return false;
  }
  out.stamp = *stamp;
  out.service = text_of(json.find("SYSLOG_IDENTIFIER"));
  out.pid = static_cast<int>(whole_number(text_of(json.find("_PID"))).value_or(0));
  text_ = message->starts_with('[') && line.find("\"MESSAGE\": [") != std::string_view::npos
              ? bytes_of_list(*message)
          : message->starts_with('[') && line.find("\"MESSAGE\":[") != std::string_view::npos
              ? bytes_of_list(*message)
              : *message;
  out.text = text_;
  return true;
}

// 2026-11-28T06:00:03.386011223Z stderr F ...
bool Unwrapper::cri(std::string_view line, Unwrapped& out) {
  std::size_t used = 0;
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank < 20) {
    return false;
  }
  const std::string_view rest = line.substr(blank + 1);
  if (!rest.starts_with("stdout ") && !rest.starts_with("stderr ")) {
    return false;
  }
  const auto stamp = stamp_at(line.substr(0, blank), used, now_);
  const std::size_t tag_end = rest.find(' ', 7);
  if (!stamp || rest.size() < 8 || tag_end == std::string_view::npos) {
    return false;
  }
  out.stamp = *stamp;
  const bool last = rest[7] != 'P';
  return join(std::string(rest.substr(0, 6)), rest.substr(tag_end + 1), last, out);
}

// nginx_1   | ..., also in colour
bool Unwrapper::compose(std::string_view line, Unwrapped& out) {
  const std::string_view plain = without_colour(line);
  const std::size_t bar = plain.substr(0, 80).find('|');
  if (bar == std::string_view::npos || bar < 2 || plain[bar - 1] != ' ') {
    return false;
  }
  const std::string_view name = trimmed(plain.substr(0, bar));
  if (name.empty() || !std::all_of(name.begin(), name.end(), of_a_service)) {
    return false;
  }
  std::string_view rest = without_colour(plain.substr(bar + 1));
  rest.remove_prefix(rest.starts_with(' ') ? 1 : 0);
  out.service = name;
  out.text = rest;
  return true;
}

// What `docker logs -t` puts in front: only when something with a stamp of its own stands behind.
bool Unwrapper::stamped(std::string_view line, Unwrapped& out) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank < 28 || line[10] != 'T') {
    return false;
  }
  std::size_t used = 0;
  const auto stamp = stamp_at(line.substr(0, blank), used, now_);
  const std::string_view rest = line.substr(blank + 1);
  const bool another = rest.starts_with('{') || stamp_at(rest, used, now_).has_value();
  if (!stamp || stamp->grain > 1 || used < 15 || !another) {
    return false;
  }
  out.stamp = *stamp;
  out.text = rest;
  return true;
}

// Nov 28 06:00:03 web1 forktail[18]: ...
bool Unwrapper::syslog(std::string_view line, Unwrapped& out) {
  std::size_t used = 0;
  const auto stamp = stamp_at(line, used, now_);
  if (!stamp || used >= line.size() || line[used] != ' ') {
    return false;
  }
  const std::string_view rest = line.substr(used + 1);
  const std::size_t host_end = rest.find(' ');
  const std::size_t colon = rest.find(": ");
  if (host_end == std::string_view::npos || colon == std::string_view::npos || colon < host_end) {
    return false;
  }
  const std::string_view host = rest.substr(0, host_end);
  std::string_view tag = rest.substr(host_end + 1, colon - host_end - 1);
  const std::size_t bracket = tag.find('[');
  if (bracket != std::string_view::npos && tag.ends_with(']')) {
    out.pid = static_cast<int>(
        whole_number(tag.substr(bracket + 1, tag.size() - bracket - 2)).value_or(0));
    tag = tag.substr(0, bracket);
  }
  if (tag.empty() || host.empty() || !std::all_of(tag.begin(), tag.end(), of_a_service) ||
      !std::all_of(host.begin(), host.end(), of_a_service)) {
    return false;
  }
  out.stamp = *stamp;
  out.service = tag;
  out.text = rest.substr(colon + 2);
  return true;
}

}  // namespace forktail::story
