#include "story/read/vocabulary.h"

#include <iterator>
#include <string>
#include <unordered_map>
#include <utility>

#include "story/text.h"

namespace forktail::story {
namespace {

constexpr std::pair<std::string_view, Meaning> kVocabulary[] = {
    {"ts", {kTime, 1}},
    {"time", {kTime, 2}},
    {"timestamp", {kTime, 2}},
    {"@timestamp", {kTime, 2}},
    {"time_iso8601", {kTime, 2}},
    {"time_local", {kTime, 3}},
    {"datetime", {kTime, 3}},
    {"date", {kTime, 4}},
    {"asctime", {kTime, 3}},
    {"t", {kTime, 5}},
    {"msec", {kExactTime}},
    {"forktail_id", {kId, 0}},
    {"request_id", {kId, 0}},
    {"requestid", {kId, 1}},
    {"x_request_id", {kId, 1}},
    {"x-request-id", {kId, 1}},
    {"http_x_request_id", {kId, 1}},
    {"sent_http_x_request_id", {kId, 1}},
    {"http.request.id", {kId, 1}},
    {"req_id", {kId, 1}},
    {"reqid", {kId, 1}},
    {"rid", {kId, 2}},
    {"correlation_id", {kId, 3}},
    {"correlationid", {kId, 3}},
    {"x_correlation_id", {kId, 3}},
    {"trace_id", {kTraceId}},
    {"traceid", {kTraceId}},
    {"trace.id", {kTraceId}},
    {"forktail_trace_id", {kTraceId}},
    {"otelspanid", {kSpanId}},
    {"traceparent", {kTraceparent}},
    {"http_traceparent", {kTraceparent}},
    {"forktail_traceparent", {kTraceparent}},
    {"span_id", {kSpanId}},
    {"spanid", {kSpanId}},
    {"forktail_span_id", {kSpanId}},
    {"level", {kLevel}},
    {"severity", {kLevel}},
    {"lvl", {kLevel}},
    {"levelname", {kLevel}},
    {"log.level", {kLevel}},
    {"msg", {kMessage}},
    {"message", {kMessage}},
    {"event", {kEventName}},
    {"service", {kService}},
    {"service.name", {kService}},
    {"pid", {kPid}},
    {"process", {kPid}},
    {"process.pid", {kPid}},
    {"tid", {kTid}},
    {"worker", {kWorker}},
    {"lost_worker", {kOfWorker}},
    {"of_worker", {kOfWorker}},
    {"lost_pid", {kOfPid}},
    {"of_pid", {kOfPid}},
    {"how", {kHow}},
    {"state", {kState}},
    {"age_ms", {kAge}},
    {"gen", {kGeneration}},
    {"seq", {kSeq}},
    {"connection", {kConnection}},
    {"remote_addr", {kClient}},
    {"client", {kClient}},
    {"client_ip", {kClient}},
    {"ip", {kClient}},
    {"host", {kHost}},
    {"http_host", {kHost}},
    {"request", {kRequestLine}},
    {"req", {kRequestLine}},
    {"method", {kMethod}},
    {"request_method", {kMethod}},
    {"http.method", {kMethod}},
    {"http.request.method", {kMethod}},
    {"path", {kPath}},
    {"uri", {kPath}},
    {"url", {kPath}},
    {"request_uri", {kPath}},
    {"http.path", {kPath}},
    {"url.path", {kPath}},
    {"url.original", {kPath}},
    {"status", {kStatus}},
    {"code", {kStatus}},
    {"status_code", {kStatus}},
    {"http.status", {kStatus}},
    {"http.response.status_code", {kStatus}},
    {"bytes", {kBytes}},
    {"size", {kBytes}},
    {"bytes_sent", {kBytes}},
    {"body_bytes_sent", {kBytes}},
    {"request_time", {kSeconds}},
    {"reqtime", {kSeconds}},
    {"rt", {kSeconds}},
    {"duration_seconds", {kSeconds}},
    {"duration_ms", {kMillis}},
    {"queue_time", {kNginxQueue}},
    {"forktail_queue_time", {kNginxQueue}},
    {"upstream", {kUpstreamAddress}},
    {"upstream_addr", {kUpstreamAddress}},
    {"upstream_status", {kUpstreamStatus}},
    {"upstream_connect_time", {kUpstreamConnect}},
    {"uct", {kUpstreamConnect}},
    {"upstream_header_time", {kUpstreamHeader}},
    {"uht", {kUpstreamHeader}},
    {"upstream_response_time", {kUpstreamResponse}},
    {"urt", {kUpstreamResponse}},
    {"apptime", {kUpstreamResponse}},
    {"queue_ms", {kQueueMs}},
    {"read_ms", {kReadMs}},
    {"handle_ms", {kHandleMs}},
    {"write_ms", {kWriteMs}},
};

const std::unordered_map<std::string_view, Meaning>& vocabulary() {
  static const std::unordered_map<std::string_view, Meaning> kNames(std::begin(kVocabulary),
                                                                    std::end(kVocabulary));
  return kNames;
}

}  // namespace

const Meaning* meaning_of(std::string_view name) {
  const auto& names = vocabulary();
  auto found = names.find(name);
  if (found == names.end()) {
    const std::string lowered = lower(name);
    found = names.find(lowered);
    // {"fields":{"request_id":...}}: of what lies deeper only ids have the same meaning everywhere.
    const std::size_t point = lowered.rfind('.');
    if (found == names.end() && point != std::string::npos) {
      found = names.find(std::string_view(lowered).substr(point + 1));
      const bool is_id =
          found != names.end() && (found->second.field == kId || found->second.field == kTraceId);
      return is_id ? &found->second : nullptr;
    }
  }
  return found == names.end() ? nullptr : &found->second;
}

}  // namespace forktail::story
