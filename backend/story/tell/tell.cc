#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "story/search/id_query.h"
#include "story/tell/group.h"
#include "story/tell/spans.h"
#include "story/tell/story.h"
#include "story/tell/verdict.h"

namespace forktail::story {

std::string who_of(const Event& event) {
  if (event.kind == Kind::access || event.kind == Kind::nginx_error) {
    return "nginx";
  }
  if (event.worker != 0) {
    return fmt::format("worker {}", event.worker);
  }
  if (event.seq >= 0) {
    return "master";
  }
  if (event.event == "oom") {
    return "kernel";
  }
  if (!event.service.empty()) {
    return event.service;
  }
  return event.pid != 0 ? fmt::format("process {}", event.pid) : "app";
}

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::answered:
      return "answered";
    case Outcome::refused:
      return "refused";
    case Outcome::failed:
      return "failed";
    case Outcome::client_left:
      return "client_left";
    case Outcome::unknown:
      break;
  }
  return "unknown";
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::access:
      return "access";
    case Kind::nginx_error:
      return "nginx_error";
    case Kind::app:
      return "app";
    case Kind::request:
      return "request";
    case Kind::server:
      return "server";
    case Kind::death:
      return "death";
    case Kind::plain:
      break;
  }
  return "plain";
}

Story tell(Found found) {
  std::map<std::string, std::vector<Event>> by_id;
  for (Event& event : found.events) {
    by_id[canonical_id(event.id)].push_back(std::move(event));
  }
  Story story;
  for (auto& [id, events] : by_id) {
    for (Request& request : group_requests(std::move(events))) {
      draw_in(request, found.bystanders);
      make_spans(request);
      judge(request);
      story.requests.push_back(std::move(request));
    }
  }
  std::stable_sort(story.requests.begin(), story.requests.end(),
                   [](const Request& a, const Request& b) { return a.start < b.start; });
  if (found.mentions > 0) {
    story.notes.push_back(fmt::format("{} line(s) of other requests mention it", found.mentions));
  }
  if (found.left_out > 0) {
    story.notes.push_back(fmt::format("{} further line(s) are left out", found.left_out));
  }
  return story;
}

}  // namespace forktail::story
