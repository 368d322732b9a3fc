#include "story/tell/spans.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "story/text.h"

namespace forktail::story {
namespace {

int number_after(std::string_view text, std::string_view before) {
  const std::size_t at = text.find(before);
  if (at == std::string_view::npos) {
    return 0;
  }
  std::size_t end = at + before.size();
  while (end < text.size() && is_digit(text[end])) {
    ++end;
  }
  return static_cast<int>(
      whole_number(text.substr(at + before.size(), end - at - before.size())).value_or(0));
}

// Where an event is put on the one clock. What has only a second is put where it can have been: at
// the request's beginning when it tells of a connection to the upstream, else at its end.
Micros placed(const Request& request, const Event& event) {
  const Micros earliest = event.stamp.at;
  if (earliest == kUnknown || event.stamp.grain <= kMillisecond) {
    return earliest == kUnknown ? request.end : earliest;
  }
  const Micros latest = earliest + event.stamp.grain - 1;
  if (latest < request.start || earliest > request.end) {
    return earliest;
  }
  const bool at_the_beginning =
      event.message.find("while connecting to upstream") != std::string::npos;
  return at_the_beginning ? std::max(earliest, request.start) : std::min(latest, request.end);
}

// nginx writes its access line last.
int rank(const Event& event) { return event.kind == Kind::access ? 1 : 0; }

void put_in_order(Request& request) {
  for (Event& event : request.events) {
    event.placed = placed(request, event);
  }
  std::stable_sort(request.events.begin(), request.events.end(),
                   [](const Event& a, const Event& b) {
                     return std::tuple(a.placed, rank(a), a.source, a.offset) <
                            std::tuple(b.placed, rank(b), b.source, b.offset);
                   });
}

// Of the start and end the finest sources count: an access line with milliseconds, the server's.
void set_times(Request& request) {
  const Event* access = find_kind(request, Kind::access);
  if (access != nullptr && access->stamp.at != kUnknown) {
    const Micros duration = access->duration == kUnknown ? 0 : access->duration;
    request.grain = access->stamp.grain;
    request.end = access->stamp.at;
    request.start = access->stamp.at - duration;
    if (access->stamp.grain >= kSecond) {
      // Nothing is known but the second; the other lines may know better.
      for (const Event& event : request.events) {
        if (event.stamp.grain < kSecond && event.stamp.at != kUnknown && !event.drawn &&
            event.stamp.at >= request.start && event.stamp.at < request.end + access->stamp.grain) {
          request.end = std::max(request.end, event.stamp.at);
        }
      }
      request.start = request.end - duration;
    }
  }
}

class Spans {
 public:
  explicit Spans(Request& request) : request_(request) {}

  void make() {
    const Event* access = find_kind(request_, Kind::access);
    add(access != nullptr ? "request" : "seen", access != nullptr ? "nginx" : "", request_.start,
        std::max(request_.end, request_.start), -1);
    request_.spans[0].uncertain = request_.grain > kMillisecond;
    if (access != nullptr) {
      add_nginx(*access);
    }
    for (const Event& event : request_.events) {
      if (event.kind == Kind::request) {
        add_server(event);
      } else if (event.event == "lost" || event.event == "answered") {
        add_lost(event);
      }
    }
    put_in_tree_order();
  }

 private:
  int add(std::string name, std::string who, Micros start, Micros end, int parent) {
    Span span;
    span.name = std::move(name);
    span.who = std::move(who);
    span.start = start;
    span.end = end;
    span.parent = parent;
    request_.spans.push_back(std::move(span));
    return static_cast<int>(request_.spans.size()) - 1;
  }

  Span& last() { return request_.spans.back(); }

  // Each span behind its parent, brothers by their start.
  void put_in_tree_order() {
    std::vector<Span> ordered;
    append_with_children(0, -1, ordered);
    request_.spans = std::move(ordered);
  }

  void append_with_children(int index, int parent, std::vector<Span>& ordered) const {
    const int place = static_cast<int>(ordered.size());
    ordered.push_back(request_.spans[static_cast<std::size_t>(index)]);
    ordered.back().parent = parent;
    std::vector<int> children;
    for (std::size_t i = 1; i < request_.spans.size(); ++i) {
      if (request_.spans[i].parent == index) {
        children.push_back(static_cast<int>(i));
      }
    }
    std::stable_sort(children.begin(), children.end(), [this](int a, int b) {
      return request_.spans[static_cast<std::size_t>(a)].start <
             request_.spans[static_cast<std::size_t>(b)].start;
    });
    for (const int child : children) {
      append_with_children(child, place, ordered);
    }
  }

  void add_nginx(const Event& access) {
    Micros at = request_.start;
    const bool coarse = request_.grain > kMillisecond;
    if (access.nginx_queue != kUnknown && access.nginx_queue > 0) {
      add("queued in nginx", "nginx", at, at + access.nginx_queue, 0);
      at += access.nginx_queue;
    }
    Micros known = access.nginx_queue == kUnknown ? 0 : access.nginx_queue;
    for (const Upstream& upstream : access.upstreams) {
      known += upstream.response == kUnknown ? 0 : upstream.response;
    }
    // What is left is reading the request, in front, and sending the answer, behind.
    const Micros left = access.duration == kUnknown ? 0 : access.duration - known;
    for (std::size_t i = 0; i < access.upstreams.size(); ++i) {
      at = add_upstream(access.upstreams[i], i, access.upstreams.size(), at,
                        coarse || left > 2 * kMillisecond);
    }
    if (!access.upstreams.empty() && request_.end - at > kMillisecond && left > kMillisecond) {
      add("sending to the client", "nginx", at, request_.end, 0);
      last().uncertain = true;
    }
  }

  Micros add_upstream(const Upstream& upstream, std::size_t i, std::size_t count, Micros at,
                      bool uncertain) {
    if (upstream.response == kUnknown) {
      return at;
    }
    const std::string name = count > 1 ? fmt::format("upstream, try {}", i + 1) : "upstream";
    const Micros end = at + upstream.response;
    const int parent = add(name, "nginx", at, end, 0);
    last().uncertain = uncertain;
    last().note = upstream.address;
    if (upstream.status != 0) {
      last().note = fmt::format("{} from {}", upstream.status, upstream.address);
    }
    last().failed = upstream.status >= 500 || upstream.status == 0;
    if (upstream.connect != kUnknown && upstream.connect > 0) {
      add("connect", "nginx", at, at + upstream.connect, parent);
      last().uncertain = uncertain;
    }
    return end;
  }

  // The try of nginx's that a worker's time lies in.
  int parent_at(Micros at) const {
    int parent = 0;
    for (std::size_t i = 1; i < request_.spans.size(); ++i) {
      const Span& span = request_.spans[i];
      constexpr Micros kOff = 2 * kMillisecond;
      if (span.name.starts_with("upstream") && at + kOff >= span.start && at <= span.end + kOff) {
        parent = static_cast<int>(i);
      }
    }
    return parent;
  }

  void add_server(const Event& event) {
    const std::string who = who_of(event);
    const std::vector<std::pair<const char*, Micros>> phases{{"waiting for a worker", event.queue},
                                                             {"reading", event.read},
                                                             {"handling", event.handle},
                                                             {"writing", event.write}};
    Micros sum = 0;
    for (const auto& [name, duration] : phases) {
      sum += duration == kUnknown ? 0 : duration;
    }
    Micros at = event.stamp.at - sum;
    const int parent = parent_at(at);
    for (const auto& [name, duration] : phases) {
      if (duration != kUnknown) {
        add(name, who, at, at + duration, parent);
        last().uncertain = event.stamp.grain > kMillisecond;
        last().failed = std::string_view(name) == "handling" && event.status >= 500;
        at += duration;
      }
    }
  }

  void add_lost(const Event& event) {
    const Loss loss = loss_of(event);
    if (loss.age == kUnknown || event.stamp.at == kUnknown) {
      return;
    }
    const Micros start = event.stamp.at - loss.age;
    add(loss.doing, fmt::format("worker {}", loss.worker), start, event.stamp.at, parent_at(start));
    last().failed = !loss.answered;
    last().note = loss.how;
    last().uncertain = event.age == kUnknown;  // the message has whole milliseconds
  }

  Request& request_;
};

}  // namespace

const Event* find_kind(const Request& request, Kind kind) {
  const auto worth = [](const Event& event) {
    return std::tuple(event.drawn, event.stamp.grain, event.duration == kUnknown);
  };
  const Event* best = nullptr;
  for (const Event& event : request.events) {
    if (event.kind == kind && (best == nullptr || worth(event) < worth(*best))) {
      best = &event;
    }
  }
  return best;
}

const Event* find_event(const Request& request, std::string_view name) {
  for (const Event& event : request.events) {
    if (event.event == name) {
      return &event;
    }
  }
  return nullptr;
}

// By its fields; those that a line has not got, as in the text of another version, by its words.
Loss loss_of(const Event& event) {
  Loss loss;
  const std::string_view text = event.message;
  loss.worker = event.of_worker != 0 ? event.of_worker : number_after(text, "worker ");
  loss.pid = event.of_pid != 0 ? event.of_pid : number_after(text, "(pid ");
  loss.answered = event.event == "answered";
  loss.how = event.how;
  loss.doing = event.state;
  loss.age = event.age;
  const std::size_t how = text.find(") ");
  const std::string_view joint = loss.answered ? " after " : " while ";
  const std::size_t middle = text.find(joint);
  if (how == std::string_view::npos || middle == std::string_view::npos || middle < how) {
    return loss;
  }
  if (loss.how.empty()) {
    loss.how = text.substr(how + 2, middle - how - 2);
  }
  const std::string_view doing = text.substr(middle + joint.size());
  if (loss.doing.empty()) {
    loss.doing = doing.substr(0, doing.find(' '));
  }
  const std::size_t age = doing.rfind('(');
  if (loss.age == kUnknown && age != std::string_view::npos && doing.ends_with(" ms)")) {
    loss.age = number_after(doing.substr(age), "(") * kMillisecond;
  }
  return loss;
}

void make_spans(Request& request) {
  set_times(request);
  const Event* access = find_kind(request, Kind::access);
  request.timed = access != nullptr ? access->duration != kUnknown
                                    : find_kind(request, Kind::request) != nullptr;
  put_in_order(request);
  if (request.start != kUnknown) {
    Spans(request).make();
  }
}

}  // namespace forktail::story
