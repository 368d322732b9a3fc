#include "story/show/otlp.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "story/search/id_query.h"
#include "story/text.h"

namespace forktail::story {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kInternal = 1;  // SPAN_KIND_INTERNAL
constexpr int kServer = 2;
constexpr int kClient = 3;
constexpr int kError = 2;  // STATUS_CODE_ERROR
constexpr std::size_t kSpanDigits = 16;
constexpr std::size_t kTraceDigits = 32;

std::uint64_t hashed(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * UINT64_C(0x100000001b3);
  }
  hash ^= hash >> 32U;
  return hash == 0 ? 1 : hash;
}

bool is_hex_of(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), is_hex) &&
         text.find_first_not_of('0') != std::string_view::npos;
}

// The trace's own id, else the request's where it can be one, else one made of it.
std::string trace_id_for(const Request& request) {
  const std::string own = lower(request.trace_id);
  if (is_hex_of(own, kTraceDigits)) {
    return own;
  }
  const std::string id = canonical_id(request.id);
  if (is_hex_of(id, kTraceDigits)) {
    return id;
  }
  return fmt::format("{:016x}{:016x}", hashed(request.id, 1), hashed(request.id, 2));
}

std::string span_id_for(const Request& request, std::size_t i) {
  if (i == 0 && is_hex_of(lower(request.span_id), kSpanDigits)) {
    return lower(request.span_id);  // nginx's own, which the upstream has as its parent
  }
  return fmt::format("{:016x}",
                     hashed(request.id, static_cast<std::uint64_t>(request.start) * 64 + i));
}

std::string nanos(Micros at) { return std::to_string(at * 1000); }

Json text_value(const char* key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

Json number_value(const char* key, std::int64_t value) {
  return {{"key", key}, {"value", {{"intValue", std::to_string(value)}}}};
}

Json events_of(const Request& request) {
  Json events = Json::array();
  for (const Event& event : request.events) {
    if (event.stamp.at == kUnknown) {
      continue;
    }
    Json attributes = Json::array();
    attributes.push_back(text_value("log.source", who_of(event)));
    if (!event.level.empty()) {
      attributes.push_back(text_value("log.severity", event.level));
    }
    events.push_back({{"timeUnixNano", nanos(event.stamp.at)},
                      {"name", event.message.empty() ? event.raw : event.message},
                      {"attributes", attributes}});
  }
  return events;
}

Json root_attributes(const Request& request) {
  Json attributes = Json::array();
  attributes.push_back(text_value("forktail.request_id", request.id));
  attributes.push_back(text_value("forktail.verdict", request.verdict));
  if (!request.method.empty()) {
    attributes.push_back(text_value("http.request.method", request.method));
  }
  if (!request.path.empty()) {
    attributes.push_back(text_value("url.path", request.path.substr(0, request.path.find('?'))));
  }
  if (request.status > 0) {
    attributes.push_back(number_value("http.response.status_code", request.status));
  }
  if (!request.client.empty()) {
    attributes.push_back(text_value("client.address", request.client));
  }
  return attributes;
}

Json span_of(const Request& request, std::size_t i, const std::string& trace_id) {
  const Span& span = request.spans[i];
  const bool root = i == 0;
  Json out = Json::object();
  out["traceId"] = trace_id;
  out["spanId"] = span_id_for(request, i);
  if (span.parent >= 0) {
    out["parentSpanId"] = span_id_for(request, static_cast<std::size_t>(span.parent));
  }
  out["name"] = root && !request.method.empty() ? request.method : span.name;
  out["kind"] = root ? kServer : span.name.starts_with("upstream") ? kClient : kInternal;
  out["startTimeUnixNano"] = nanos(span.start);
  out["endTimeUnixNano"] = nanos(std::max(span.end, span.start));
  Json attributes = root ? root_attributes(request) : Json::array();
  if (!span.note.empty()) {
    attributes.push_back(text_value("forktail.note", span.note));
  }
  if (span.uncertain) {
    attributes.push_back({{"key", "forktail.uncertain"}, {"value", {{"boolValue", true}}}});
  }
  if (!root && request.pid != 0 && span.who.starts_with("worker")) {
    attributes.push_back(number_value("process.pid", request.pid));
  }
  out["attributes"] = attributes;
  if (root) {
    out["events"] = events_of(request);
  }
  const bool failed = root ? request.outcome == Outcome::failed : span.failed;
  out["status"] = failed ? Json{{"code", kError}, {"message", root ? request.verdict : span.note}}
                         : Json::object();
  return out;
}

Json line_of(const Request& request) {
  const std::string trace_id = trace_id_for(request);
  // One resource for each who: nginx and the server are services of their own.
  std::map<std::string, Json> by_service;
  for (std::size_t i = 0; i < request.spans.size(); ++i) {
    const std::string& who = request.spans[i].who;
    const std::string service = who.starts_with("worker") ? "forktail" : who.empty() ? "app" : who;
    auto& spans = by_service.emplace(service, Json::array()).first->second;
    spans.push_back(span_of(request, i, trace_id));
  }
  Json resources = Json::array();
  for (const auto& [service, spans] : by_service) {
    Json scope = {{"scope", {{"name", "forktail trace"}}}, {"spans", spans}};
    Json resource = {{"attributes", Json::array({text_value("service.name", service)})}};
    resources.push_back({{"resource", resource}, {"scopeSpans", Json::array({scope})}});
  }
  return {{"resourceSpans", resources}};
}

}  // namespace

std::string as_otlp(const Story& story) {
  std::string out;
  for (const Request& request : story.requests) {
    if (!request.spans.empty()) {
      out += line_of(request).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    }
  }
  return out;
}

}  // namespace forktail::story
