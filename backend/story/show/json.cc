#include "story/show/json.h"

#include <nlohmann/json.hpp>

namespace forktail::story {
namespace {

using Json = nlohmann::ordered_json;

double millis_of(Micros time) { return static_cast<double>(time) / 1000; }

void put(Json& object, const char* name, const std::string& value) {
  if (!value.empty()) {
    object[name] = value;
  }
}

void put(Json& object, const char* name, std::int64_t value) {
  if (value != 0) {
    object[name] = value;
  }
}

void put_millis(Json& object, const char* name, Micros value) {
  if (value != kUnknown) {
    object[name] = millis_of(value);
  }
}

void put_time(Json& object, const char* name, Micros value) {
  object[name] = value == kUnknown ? Json(nullptr) : Json(rfc3339(value));
}

Json json_of(const Upstream& upstream) {
  Json out = Json::object();
  put(out, "address", upstream.address);
  put(out, "status", upstream.status);
  put_millis(out, "connect_ms", upstream.connect);
  put_millis(out, "header_ms", upstream.header);
  put_millis(out, "response_ms", upstream.response);
  return out;
}

Json json_of(const Event& event, const Sources& sources) {
  Json out = Json::object();
  put_time(out, "ts", event.stamp.at);
  put_time(out, "placed", event.placed);
  out["grain_ms"] = millis_of(event.stamp.grain);
  out["uncertain"] = event.drawn || event.stamp.at == kUnknown || event.stamp.grain > kMillisecond;
  out["kind"] = name_of(event.kind);
  out["who"] = who_of(event);
  put(out, "level", event.level);
  put(out, "event", event.event);
  put(out, "message", event.message);
  put(out, "method", event.method);
  put(out, "path", event.path);
  if (event.status >= 0) {
    out["status"] = event.status;
  }
  put(out, "pid", event.pid);
  put(out, "worker", event.worker);
  for (const Upstream& upstream : event.upstreams) {
    out["upstreams"].push_back(json_of(upstream));
  }
  if (event.broken) {
    out["broken"] = true;
  }
  if (event.drawn) {
    out["drawn"] = true;
  }
  const auto source = static_cast<std::size_t>(event.source);
  out["source"] = source < sources.size() ? sources[source]->name() : "";
  out["offset"] = event.offset;
  out["raw"] = event.raw;
  return out;
}

Json json_of(const Span& span, const Request& request) {
  Json out = Json::object();
  out["name"] = span.name;
  put(out, "who", span.who);
  put_time(out, "start", span.start);
  out["at_ms"] = millis_of(span.start - request.start);
  out["duration_ms"] = millis_of(span.end - span.start);
  out["uncertain"] = span.uncertain;
  out["failed"] = span.failed;
  put(out, "note", span.note);
  if (span.parent >= 0) {
    out["parent"] = span.parent;
  }
  return out;
}

Json json_of(const Request& request, const Sources& sources) {
  Json out = Json::object();
  out["request_id"] = request.id;
  out["verdict"] = request.verdict;
  out["outcome"] = name_of(request.outcome);
  put(out, "trace_id", request.trace_id);
  put(out, "span_id", request.span_id);
  put(out, "method", request.method);
  put(out, "path", request.path);
  put(out, "client", request.client);
  put(out, "host", request.host);
  if (request.status >= 0) {
    out["status"] = request.status;
  }
  put(out, "worker", request.worker);
  put(out, "pid", request.pid);
  put_time(out, "start", request.start);
  put_time(out, "end", request.end);
  if (request.timed) {
    out["duration_ms"] = millis_of(request.end - request.start);
  }
  out["missing"] = request.missing;
  out["spans"] = Json::array();
  for (const Span& span : request.spans) {
    out["spans"].push_back(json_of(span, request));
  }
  out["events"] = Json::array();
  for (const Event& event : request.events) {
    out["events"].push_back(json_of(event, sources));
  }
  return out;
}

Json json_of(const SourceReport& report, const Source& source) {
  Json out = Json::object();
  out["name"] = source.name();
  out["how"] = report.how == How::bisected  ? "bisected"
               : report.how == How::scanned ? "scanned"
                                            : "unread";
  out["bytes"] = report.bytes;
  if (report.how == How::bisected) {
    out["pages"] = report.pages;
  }
  out["lines"] = report.lines;
  if (report.skew != 0) {
    out["clock_ms"] = millis_of(report.skew);
  }
  put(out, "note", report.note);
  return out;
}

}  // namespace

std::string as_json(const Story& story, const Sources& sources, const Found& reading,
                    const std::string& query) {
  Json out = Json::object();
  out["query"] = query;
  out["verdict"] = story.requests.empty() ? "" : story.requests.front().verdict;
  out["requests"] = Json::array();
  for (const Request& request : story.requests) {
    out["requests"].push_back(json_of(request, sources));
  }
  out["sources"] = Json::array();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    out["sources"].push_back(json_of(reading.reports[i], *sources[i]));
  }
  out["notes"] = story.notes;
  // Bytes that are no UTF-8 become U+FFFD; controls are escaped by the format.
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace forktail::story
