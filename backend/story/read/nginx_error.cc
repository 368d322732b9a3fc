#include "story/read/dialects.h"
#include "story/read/fields.h"
#include "story/text.h"

namespace forktail::story {
namespace {

// nginx ends a line by these, in this order. Message, request, host and referrer are what somebody
// else has sent and may look like any of them: each is searched for behind the one before it, and
// the id, which the module writes last, only at the very end.
class ErrorLine {
 public:
  explicit ErrorLine(std::string_view text) : text_(text) {}

  void read(Event& event) {
    event.id = take_id();
    const std::size_t client = text_.find(", client: ");
    event.message = text_.substr(0, client);
    if (client == std::string_view::npos) {
      return;
    }
    text_.remove_prefix(client + 10);
    event.client = text_.substr(0, text_.find(", "));
    const std::string_view request = quoted(", request: \"");
    if (!request.empty()) {
      split_request(request, event);
    }
    const std::string_view upstream = quoted(", upstream: \"");
    if (!upstream.empty()) {
      event.upstreams.emplace_back().address = upstream;
    }
    event.host = quoted(", host: \"");
  }

 private:
  std::string_view take_id() {
    constexpr std::string_view kBefore = ", request_id: \"";
    const std::size_t at = text_.rfind(kBefore);
    if (at == std::string_view::npos || !text_.ends_with('"')) {
      return {};
    }
    std::string_view id = text_.substr(at + kBefore.size());
    id.remove_suffix(1);
    if (id.find('"') != std::string_view::npos) {
      return {};
    }
    text_ = text_.substr(0, at);
    return id;
  }

  std::string_view quoted(std::string_view name) {
    const std::size_t at = text_.find(name);
    if (at == std::string_view::npos) {
      return {};
    }
    text_.remove_prefix(at + name.size());
    // A quote in a request line does not end it, what follows the value does.
    std::size_t end = text_.find("\", ");
    if (end == std::string_view::npos) {
      end = text_.rfind('"');
    }
    const std::string_view value = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    return value;
  }

  std::string_view text_;
};

// "worker process 8308 exited on signal 11"
void note_death(Event& event) {
  constexpr std::string_view kBefore = "worker process ";
  const std::string_view message = event.message;
  const std::size_t end = message.find(" exited on signal ");
  if (message.starts_with(kBefore) && end != std::string_view::npos) {
    event.kind = Kind::death;
    event.event = "killed";
    const auto pid = whole_number(message.substr(kBefore.size(), end - kBefore.size()));
    event.pid = static_cast<int>(pid.value_or(0));
  }
}

}  // namespace

bool read_nginx_error(std::string_view line, Event& event, Micros now) {
  std::size_t used = 0;
  if (line.size() < 24 || line[4] != '/' || line.substr(19, 2) != " [") {
    return false;
  }
  const auto stamp = stamp_at(line.substr(0, 19), used, now);
  const std::size_t level_end = line.find("] ", 21);
  const std::size_t colon = line.find(": ", 21);
  if (!stamp || level_end == std::string_view::npos || colon == std::string_view::npos ||
      colon < level_end) {
    return false;
  }
  const std::string_view process = line.substr(level_end + 2, colon - level_end - 2);
  const std::size_t hash = process.find('#');
  if (hash == std::string_view::npos || !whole_number(process.substr(0, hash))) {
    return false;
  }
  event.kind = Kind::nginx_error;
  event.stamp = *stamp;
  event.level = line.substr(21, level_end - 21);
  event.pid = static_cast<int>(*whole_number(process.substr(0, hash)));
  std::string_view rest = line.substr(colon + 2);
  if (rest.starts_with('*')) {
    const std::size_t blank = rest.find(' ');
    event.connection = whole_number(rest.substr(1, blank - 1)).value_or(0);
    rest.remove_prefix(blank == std::string_view::npos ? rest.size() : blank + 1);
  }
  ErrorLine(rest).read(event);
  note_death(event);
  return true;
}

}  // namespace forktail::story
