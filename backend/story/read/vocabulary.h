// The names that log formats have for things.
//
// Pure functions; any thread.
#pragma once

#include <string_view>

namespace forktail::story {

enum Field : int {
  kTime,
  kExactTime,  // msec: nginx's end of the request
  kId,
  kTraceId,
  kTraceparent,
  kSpanId,
  kLevel,
  kMessage,
  kEventName,
  kService,
  kPid,
  kTid,
  kWorker,
  kOfWorker,
  kOfPid,
  kHow,
  kState,
  kAge,
  kGeneration,
  kSeq,
  kConnection,
  kClient,
  kHost,
  kRequestLine,
  kMethod,
  kPath,
  kStatus,
  kBytes,
  kSeconds,
  kMillis,
  kNginxQueue,
  kUpstreamAddress,
  kUpstreamStatus,
  kUpstreamConnect,
  kUpstreamHeader,
  kUpstreamResponse,
  kQueueMs,
  kReadMs,
  kHandleMs,
  kWriteMs,
};

struct Meaning {
  Field field;
  int rank = 0;  // of several with one meaning, the lowest is the best
};

// What a format means by `name`, in whatever case; null when nobody knows.
const Meaning* meaning_of(std::string_view name);

}  // namespace forktail::story
