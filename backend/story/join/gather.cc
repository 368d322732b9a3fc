#include "story/join/gather.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

#include "story/search/id_query.h"
#include "story/tell/spans.h"
#include "story/tell/story.h"
#include "story/text.h"

namespace forktail::story {
namespace {

Micros server_time(const Event& event) {
  Micros sum = 0;
  for (const Micros part : {event.queue, event.read, event.handle, event.write}) {
    sum += part == kUnknown ? 0 : part;
  }
  return sum;
}

// Adds to a row what one more line tells.
void learn(Row& row, const Event& event) {
  row.id = row.id.empty() ? event.id : row.id;
  row.method = row.method.empty() ? event.method : row.method;
  row.path = row.path.empty() ? event.path : row.path;
  if (event.kind == Kind::access) {
    row.duration = event.duration;
    row.nginx_queue = event.nginx_queue;
    row.status = event.status;
    row.start = event.stamp.at - (event.duration == kUnknown ? 0 : event.duration);
  } else if (event.kind == Kind::request) {
    row.queue = event.queue;
    row.handle = event.handle;
    row.who = who_of(event);
    if (row.status < 0) {
      row.status = event.status;
    }
    if (row.duration == kUnknown) {
      row.duration = server_time(event);
      row.start = event.stamp.at - row.duration;
    }
  } else if (row.start == kUnknown) {
    row.start = event.stamp.at;
  }
}

// Of one list, at most so many rows: when there are twice as many, the least are dropped.
template <typename Less>
void trim(std::vector<Row>& rows, std::size_t count, Less before) {
  if (rows.size() < count * 2 + 16) {
    return;
  }
  std::nth_element(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
                   before);
  rows.resize(count);
}

// The same order wherever the lines stood.
bool slower(const Row& a, const Row& b) {
  return std::tie(b.duration, a.start, a.id) < std::tie(a.duration, b.start, b.id);
}

std::string reason_of(const Event& event, int& gravity) {
  constexpr int kDied = 5;
  constexpr int kHarakiri = 4;
  constexpr int kApplication = 3;
  constexpr int kNginx = 2;
  constexpr int kStatus = 1;
  if (event.event == "lost") {
    gravity = kDied;
    const Loss loss = loss_of(event);
    return loss.how.empty()
               ? event.message
               : fmt::format("worker {} {} while {} it", loss.worker, loss.how, loss.doing);
  }
  if (event.event == "harakiri" || event.event == "harakiri_kill") {
    gravity = kHarakiri;
    return event.message;
  }
  const bool grave = event.level == "error" || event.level == "critical" || event.level == "crit" ||
                     event.level == "alert" || event.level == "emerg" || event.level == "fatal";
  if (event.kind == Kind::nginx_error && grave) {
    gravity = kNginx;
    return event.message;
  }
  if (event.kind != Kind::access && event.kind != Kind::request && grave) {
    gravity = kApplication;
    return event.message;
  }
  if (event.status >= 500) {
    gravity = kStatus;
    return fmt::format("answered {}", event.status);
  }
  gravity = 0;
  return {};
}

// The latest requests with a reason; and, since a request's reasons stand in several logs, by id.
class Failures {
 public:
  explicit Failures(std::size_t count) : most_(std::max<std::size_t>(count * 4, 1000)) {}

  void take(const Event& event) {
    int gravity = 0;
    std::string reason = reason_of(event, gravity);
    const auto known = rows_.find(canonical_id(event.id));
    if (known == rows_.end() && gravity == 0) {
      return;
    }
    Row& row = known == rows_.end() ? rows_[canonical_id(event.id)] : known->second;
    total += known == rows_.end() ? 1 : 0;
    learn(row, event);
    if (gravity > row.gravity) {
      row.gravity = gravity;
      row.reason = printable(reason, 300);
    }
    if (rows_.size() > most_ * 2) {
      drop_oldest();
    }
  }

  std::vector<Row> latest(std::size_t count) {
    std::vector<Row> rows;
    for (auto& [id, row] : rows_) {
      rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(),
              [](const Row& a, const Row& b) { return a.start > b.start; });
    rows.resize(std::min(rows.size(), count));
    std::reverse(rows.begin(), rows.end());
    return rows;
  }

  std::uint64_t total = 0;

 private:
  void drop_oldest() {
    std::vector<Micros> starts;
    for (const auto& [id, row] : rows_) {
      starts.push_back(row.start);
    }
    const auto middle = starts.begin() + static_cast<std::ptrdiff_t>(starts.size() / 2);
    std::nth_element(starts.begin(), middle, starts.end());
    const Micros limit = *middle;
    std::erase_if(rows_, [&](const auto& entry) { return entry.second.start < limit; });
  }

  std::size_t most_;
  std::unordered_map<std::string, Row> rows_;
};

}  // namespace

std::vector<Row> slowest(const Sources& sources, const WalkOptions& options, std::size_t count,
                         Micros over, Walked& walked) {
  std::vector<Row> by_nginx;
  std::vector<Row> by_server;
  walked = walk(sources, options, [&](Event& event, bool) {
    const bool access = event.kind == Kind::access;
    if (event.id.empty() || (!access && event.kind != Kind::request)) {
      return true;
    }
    Row row;
    learn(row, event);
    if (row.duration != kUnknown && row.duration >= over) {
      auto& rows = access ? by_nginx : by_server;
      rows.push_back(std::move(row));
      trim(rows, count * 2, slower);
    }
    return true;
  });
  std::unordered_map<std::string, const Row*> served;
  for (const Row& row : by_server) {
    served[canonical_id(row.id)] = &row;
  }
  std::vector<Row>& rows = by_nginx.empty() ? by_server : by_nginx;
  std::sort(rows.begin(), rows.end(), slower);
  rows.resize(std::min(rows.size(), count));
  for (Row& row : rows) {
    const auto found = served.find(canonical_id(row.id));
    if (&rows != &by_server && found != served.end()) {
      row.queue = found->second->queue;
      row.handle = found->second->handle;
      row.who = found->second->who;
    }
  }
  return std::move(rows);
}

std::vector<Row> failed(const Sources& sources, const WalkOptions& options, std::size_t count,
                        std::uint64_t& total, Walked& walked) {
  Failures failures(count);
  walked = walk(sources, options, [&](Event& event, bool) {
    if (!event.id.empty()) {
      failures.take(event);
    }
    return true;
  });
  total = failures.total;
  return failures.latest(count);
}

std::vector<Row> in_flight(const Sources& sources, const WalkOptions& options, Micros at,
                           Micros around, Walked& walked) {
  constexpr std::size_t kMost = 10'000;
  // The server sees a request begin later than nginx does, and its line may come first.
  constexpr Micros kApart = 250 * kMillisecond;
  std::map<std::string, Row> rows;
  std::set<std::string> there;
  walked = walk(sources, options, [&](Event& event, bool) {
    if (event.id.empty() || event.stamp.at == kUnknown || rows.size() > kMost) {
      return true;
    }
    Micros from = event.stamp.at;
    if (event.kind == Kind::access && event.duration != kUnknown) {
      from -= event.duration;
    } else if (event.kind == Kind::request) {
      from -= server_time(event);
    } else if (event.event == "lost") {
      const Loss loss = loss_of(event);
      from -= loss.age == kUnknown ? 0 : loss.age;
    }
    const bool ended = event.stamp.at + event.stamp.grain < at - around;
    const std::string id = canonical_id(event.id);
    if (!ended && from <= at + around) {
      there.insert(id);
    }
    if ((!ended && from <= at + around + kApart) || rows.contains(id)) {
      Row& row = rows[id];
      learn(row, event);
      int gravity = 0;
      std::string reason = reason_of(event, gravity);
      if (gravity > row.gravity) {
        row.gravity = gravity;
        row.reason = printable(reason, 300);
      }
    }
    return true;
  });
  std::vector<Row> found;
  found.reserve(there.size());
  for (const std::string& id : there) {
    found.push_back(std::move(rows[id]));
  }
  std::sort(found.begin(), found.end(),
            [](const Row& a, const Row& b) { return a.start < b.start; });
  return found;
}

}  // namespace forktail::story
