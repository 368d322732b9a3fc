// A story as OTLP JSON, one ExportTraceServiceRequest a line, for Jaeger, Grafana, otel-tui and the
// OpenTelemetry collector (its otlpjsonfile receiver reads such a file).
//
// Source: opentelemetry-proto, trace/v1/trace.proto, and the JSON encoding of the OTLP
// specification: ids as hexadecimal digits, 64-bit numbers as strings, names in lowerCamelCase.
#pragma once

#include <string>

#include "story/tell/story.h"

namespace forktail::story {

// The spans of every request; its lines are events of the first.
std::string as_otlp(const Story& story);

}  // namespace forktail::story
