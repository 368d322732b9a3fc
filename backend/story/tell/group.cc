#include "story/tell/group.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "story/tell/spans.h"
#include "story/text.h"

namespace forktail::story {
namespace {

struct Stretch {
  Micros from = kUnknown;
  Micros to = kUnknown;
};

Micros phases_of(const Event& event) {
  Micros sum = 0;
  for (const Micros part : {event.queue, event.read, event.handle, event.write}) {
    sum += part == kUnknown ? 0 : part;
  }
  return sum;
}

// When what the line tells of began and ended, as wide as its stamp is coarse.
Stretch stretch_of(const Event& event) {
  const Micros at = event.stamp.at;
  if (event.kind == Kind::access) {
    const Micros duration = event.duration == kUnknown ? 0 : event.duration;
    return {at - duration, at + event.stamp.grain};
  }
  if (event.kind == Kind::request) {
    return {at - phases_of(event), at + event.stamp.grain};
  }
  return {at, at + event.stamp.grain};
}

bool apart(const Stretch& a, const Stretch& b) {
  constexpr Micros kNear = 50 * kMillisecond;
  return a.from > b.to + kNear || b.from > a.to + kNear;
}

// The same line, read twice: from Docker's log and from journald, say.
void remove_copies(std::vector<Event>& events) {
  std::set<std::tuple<std::string, int, Micros>> seen;
  std::map<std::string, int> first_source;
  std::erase_if(events, [&](const Event& event) {
    if (event.drawn || event.raw.empty()) {
      return false;
    }
    const auto [at, is_new] = first_source.emplace(event.raw, event.source);
    const bool carried = !event.service.empty();
    return !is_new && (at->second != event.source || carried);
  });
}

void fill(Request& request, const Event& event) {
  const auto take = [](std::string& target, const std::string& value) {
    if (target.empty()) {
      target = value;
    }
  };
  take(request.trace_id, event.trace_id);
  take(request.span_id, event.span_id);
  take(request.method, event.method);
  take(request.path, event.path);
  take(request.client, event.client);
  take(request.host, event.host);
  const bool first_of_server = event.kind == Kind::request && request.status < 0;
  if (event.kind == Kind::access || first_of_server) {
    request.status = event.status;
  }
  if (event.kind == Kind::request || request.worker == 0) {
    request.worker = event.worker != 0 ? event.worker : request.worker;
  }
  const bool of_a_worker = event.kind == Kind::request || event.kind == Kind::app;
  if (of_a_worker && event.pid != 0 && (request.pid == 0 || event.kind == Kind::request)) {
    request.pid = event.pid;
  }
}

bool same_request(const Event& one, const Event& other) {
  return one.method == other.method &&
         one.path.substr(0, one.path.find('?')) == other.path.substr(0, other.path.find('?'));
}

// How badly `event` fits to `anchor`; the request with the least has it. Of two that fit as well it
// is the shorter one: of a request that passed several nginx, the innermost, which is next to the
// worker.
std::pair<Micros, Micros> distance(const Event& event, const Event& anchor) {
  if (event.kind == anchor.kind && event.raw == anchor.raw) {
    return {-1, 0};  // its own line, or one that stands there twice
  }
  const Stretch a = stretch_of(event);
  const Stretch b = stretch_of(anchor);
  const Micros gap = std::max<Micros>({0, a.from - b.to, b.from - a.to});
  const bool names = !event.path.empty() && !anchor.path.empty();
  const Micros unlike = names && !same_request(event, anchor) ? 3600 * kSecond : 0;
  const bool by_process = event.pid != 0 && event.pid == anchor.pid;
  return {gap * 2 + unlike + (by_process ? 0 : 1), b.to - b.from};
}

std::vector<Event> anchors_of(const std::vector<Event>& events) {
  std::vector<Event> anchors;
  const auto take = [&](Kind kind) {
    for (const Event& event : events) {
      if (event.kind == kind && !event.drawn && event.stamp.at != kUnknown) {
        anchors.push_back(event);
      }
    }
  };
  take(Kind::access);
  if (!anchors.empty()) {
    return anchors;
  }
  take(Kind::request);
  std::stable_sort(anchors.begin(), anchors.end(), [](const Event& a, const Event& b) {
    return stretch_of(a).from < stretch_of(b).from;
  });
  // Without an access line, one request may have been served twice, by way of a retry: then the
  // second begins where the first has ended. Those that lie apart are two.
  std::vector<Event> kept;
  for (Event& anchor : anchors) {
    if (kept.empty() || apart(stretch_of(kept.back()), stretch_of(anchor)) ||
        !same_request(kept.back(), anchor)) {
      kept.push_back(std::move(anchor));
    }
  }
  return kept;
}

class Joiner {
 public:
  explicit Joiner(const Request& request) : request_(request) {
    for (const Event& event : request.events) {
      note(event);
    }
  }

  bool joins(const Event& event) const {
    if (event.stamp.at != kUnknown && !near(event)) {
      return false;
    }
    switch (event.kind) {
      case Kind::nginx_error:
        return connections_.contains({event.pid, event.connection}) || asked_by_client(event);
      case Kind::request:
        return !served_ && asked_by_client(event);
      case Kind::death:
        return (event.pid != 0 && (pids_.contains(event.pid) || named_in_text(event.pid))) ||
               asked_by_client(event) ||
               (event.event == "harakiri_stack" && blocks_.contains(block_of(event)));
      case Kind::server:
        return event.of_pid != 0 && pids_.contains(event.of_pid);
      default:
        return false;
    }
  }

  void note(const Event& event) {
    if (event.kind == Kind::access || event.kind == Kind::nginx_error) {
      if (event.connection != 0 && event.pid != 0) {
        connections_.emplace(event.pid, event.connection);
      }
    }
    const bool of_master = event.seq >= 0 && event.worker == 0;
    if (event.pid != 0 && event.kind != Kind::access && !of_master) {
      pids_.insert(event.pid);
    }
    served_ |= event.kind == Kind::app || event.kind == Kind::request;
    if (event.event == "lost") {
      pids_.insert(loss_of(event).pid);
    }
    if (event.kind == Kind::death && event.event == "harakiri") {
      blocks_.insert(block_of(event));
    }
  }

 private:
  // uWSGI writes a harakiri's lines in one second, into one log.
  static std::pair<int, Micros> block_of(const Event& event) {
    return {event.source, event.stamp.at / kSecond};
  }

  bool near(const Event& event) const {
    constexpr Micros kAround = kSecond;
    constexpr Micros kAfter = 5 * kSecond;  // a master learns of a death later
    // Nobody died of a request that was answered well.
    const bool well = request_.status > 0 && request_.status < 499;
    const bool death = event.kind == Kind::death || event.kind == Kind::server;
    const Micros after = !death ? kAround : well ? 0 : kAfter;
    return event.stamp.at + event.stamp.grain + kAround >= request_.start &&
           event.stamp.at <= request_.end + after;
  }

  bool asked_by_client(const Event& event) const {
    const auto path_of = [](const std::string& path) { return path.substr(0, path.find('?')); };
    const bool client = !event.client.empty() && event.client == request_.client;
    const bool path = !event.path.empty() && path_of(event.path) == path_of(request_.path);
    return client && path && (event.method.empty() || event.method == request_.method);
  }

  // A foreign application's text tells its process by a number somewhere in the line.
  bool named_in_text(int pid) const {
    const std::string number = std::to_string(pid);
    const auto holds = [&](const std::string& text) {
      for (std::size_t at = text.find(number); at != std::string::npos;
           at = text.find(number, at + 1)) {
        const std::size_t end = at + number.size();
        const bool whole =
            (at == 0 || !of_a_word(text[at - 1])) && (end == text.size() || !of_a_word(text[end]));
        if (whole) {
          return true;
        }
      }
      return false;
    };
    return std::any_of(request_.events.begin(), request_.events.end(), [&](const Event& event) {
      const bool text = event.kind == Kind::app || event.kind == Kind::plain;
      return text && !event.drawn && event.pid == 0 && holds(event.raw);
    });
  }

  static bool of_a_word(char c) { return is_digit(c) || is_letter(c) || c == '_' || c == '.'; }

  const Request& request_;
  bool served_ = false;  // a worker's own lines tell of it
  std::set<int> pids_;
  std::set<std::pair<int, std::int64_t>> connections_;
  std::set<std::pair<int, Micros>> blocks_;
};

}  // namespace

std::vector<Request> group_requests(std::vector<Event> events) {
  remove_copies(events);
  const std::vector<Event> anchors = anchors_of(events);
  std::vector<Request> requests(std::max<std::size_t>(anchors.size(), 1));
  for (Event& event : events) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < anchors.size(); ++i) {
      if (distance(event, anchors[i]) < distance(event, anchors[best])) {
        best = i;
      }
    }
    requests[best].events.push_back(std::move(event));
  }
  std::erase_if(requests, [](const Request& request) { return request.events.empty(); });
  for (Request& request : requests) {
    for (const Event& event : request.events) {
      request.id = request.id.empty() ? event.id : request.id;
      fill(request, event);
      if (event.stamp.at == kUnknown) {
        continue;
      }
      const Stretch stretch = stretch_of(event);
      const bool finer = request.start == kUnknown || stretch.from < request.start;
      request.start = finer ? stretch.from : request.start;
      request.end = std::max(request.end, event.stamp.at);
    }
  }
  return requests;
}

void draw_in(Request& request, const std::vector<Event>& bystanders) {
  std::vector<bool> taken(bystanders.size());
  // What a line tells (a pid, say) lets others be known: until none is added.
  for (bool added = true; added;) {
    added = false;
    Joiner joiner(request);
    for (std::size_t i = 0; i < bystanders.size(); ++i) {
      if (!taken[i] && joiner.joins(bystanders[i])) {
        taken[i] = true;
        added = true;
        request.events.push_back(bystanders[i]);
        joiner.note(bystanders[i]);
      }
    }
  }
}

}  // namespace forktail::story
