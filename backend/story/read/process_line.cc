// What servers and the kernel say of processes: the lines that bear no id and explain a request's
// end.
#include <algorithm>

#include "story/read/dialects.h"
#include "story/read/fields.h"
#include "story/text.h"

namespace forktail::story {
namespace {

// The number behind `before`, 0 when it is not there.
int number_behind(std::string_view line, std::string_view before) {
  const std::size_t at = line.find(before);
  if (at == std::string_view::npos) {
    return 0;
  }
  const std::size_t from = at + before.size();
  std::size_t end = from;
  while (end < line.size() && is_digit(line[end]) && end - from < 9) {
    ++end;
  }
  return static_cast<int>(whole_number(line.substr(from, end - from)).value_or(0));
}

std::string_view between(std::string_view line, std::string_view before, std::string_view after) {
  const std::size_t at = line.find(before);
  if (at == std::string_view::npos) {
    return {};
  }
  const std::size_t from = at + before.size();
  return line.substr(from, line.find(after, from) - from);
}

bool died(Event& event, std::string_view what, int pid, int worker = 0) {
  event.kind = Kind::death;
  event.event = what;
  event.pid = pid;
  event.worker = worker;
  return true;
}

// [pid: 501|app: 0|req: 1/1] 192.0.2.10 () {40 vars in 612 bytes} [Sat Nov 28 06:00:03 2026] GET
// /orders?id=7 => generated 54 bytes in 12 msecs (HTTP/1.1 200) ...
bool uwsgi_request(std::string_view line, Event& event, Micros now) {
  if (!line.starts_with("[pid: ")) {
    return false;
  }
  const std::size_t stamp_at_bracket = line.find("} [");
  const std::size_t arrow = line.find(" => generated ");
  if (stamp_at_bracket == std::string_view::npos || arrow == std::string_view::npos ||
      arrow < stamp_at_bracket) {
    return false;
  }
  std::size_t used = 0;
  const auto stamp = stamp_at(line.substr(stamp_at_bracket + 3), used, now);
  if (!stamp) {
    return false;
  }
  const std::size_t request = std::min(arrow, stamp_at_bracket + 3 + used + 2);
  const std::string_view answer = line.substr(arrow);
  event.kind = Kind::request;
  event.stamp = *stamp;  // uWSGI's is the beginning of the request
  event.pid = number_behind(line, "[pid: ");
  event.client = between(line, "] ", " ");
  split_request(line.substr(request, arrow - request), event);
  event.bytes = number_behind(answer, "generated ");
  event.handle = number_behind(answer, " bytes in ") * kMillisecond;
  event.status = number_behind(answer, "(HTTP/1.1 ") + number_behind(answer, "(HTTP/1.0 ");
  event.id = first_id_like(line);
  event.message = line;
  return event.pid > 0;
}

bool uwsgi_death(std::string_view line, Event& event) {
  if (line.find("HARAKIRI ON WORKER ") != std::string_view::npos) {
    return died(event, "harakiri", number_behind(line, "(pid: "),
                number_behind(line, "HARAKIRI ON WORKER "));
  }
  if (line.find("HARAKIRI [core ") != std::string_view::npos) {
    died(event, "harakiri", 0);
    const std::string_view who = between(line, "] ", " since ");
    const std::size_t dash = who.find(" - ");
    event.client = who.substr(0, dash);
    split_request(dash == std::string_view::npos ? who : who.substr(dash + 3), event);
    return true;
  }
  if (line.find("HARAKIRI") != std::string_view::npos) {
    return died(event, "harakiri_stack", 0, number_behind(line, "worker "));
  }
  if (line.starts_with("DAMN ! worker ")) {
    event.status = -1;
    return died(event, "killed", number_behind(line, "(pid: "), number_behind(line, "worker "));
  }
  if (line.find("SIGPIPE: writing to a closed pipe") != std::string_view::npos) {
    died(event, "client_left", 0);
    event.path = between(line, "on request ", " (ip ");
    event.client = between(line, " (ip ", ")");
    return true;
  }
  return false;
}

bool gunicorn_death(std::string_view line, Event& event) {
  if (line.find("WORKER TIMEOUT (pid:") != std::string_view::npos) {
    return died(event, "harakiri", number_behind(line, "(pid:"));
  }
  if (line.find("was sent SIG") != std::string_view::npos) {
    return died(event, "killed", number_behind(line, "(pid:"));
  }
  if (line.find("was terminated due to signal") != std::string_view::npos) {
    return died(event, "killed", number_behind(line, "with pid "));
  }
  return false;
}

bool system_death(std::string_view line, Event& event) {
  if (line.find("ut of memory: Kill") != std::string_view::npos) {
    return died(event, "oom", number_behind(line, "Killed process "));
  }
  if (line.find(" exited with code ") != std::string_view::npos && line.size() < 200) {
    return died(event, "exit", 0);
  }
  return false;
}

}  // namespace

bool read_process_line(std::string_view line, Event& event, Micros now) {
  if (uwsgi_request(line, event, now)) {
    return true;
  }
  if (!uwsgi_death(line, event) && !gunicorn_death(line, event) && !system_death(line, event)) {
    return false;
  }
  if (const auto stamp = find_stamp(line, now)) {
    event.stamp = *stamp;
  }
  event.level = "error";
  event.message = line;
  return true;
}

}  // namespace forktail::story
