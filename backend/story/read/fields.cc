#include "story/read/fields.h"

#include <algorithm>
#include <limits>

#include "id/validate.h"
#include "story/read/vocabulary.h"
#include "story/text.h"

namespace forktail::story {
namespace {

void set_once(std::string& target, std::string_view value) {
  if (target.empty() && value != "-") {
    target = value;
  }
}

// All of these count something: what is below 0, or too large, is none of them.
template <typename T>
void set_number(T& target, std::string_view value,
                std::int64_t most = std::numeric_limits<T>::max()) {
  const auto number = whole_number(value);
  if (number && *number >= 0 && *number <= most) {
    target = static_cast<T>(*number);
  }
}

Micros micros_or_unknown(std::string_view seconds) {
  return seconds_as_micros(seconds).value_or(kUnknown);
}

}  // namespace

std::string_view next_in_list(std::string_view& list) {
  const std::size_t comma = list.find(", ");
  const std::size_t colon = list.find(" : ");
  const std::size_t end = std::min(comma, colon);
  const std::string_view part = list.substr(0, end);
  list.remove_prefix(end == std::string_view::npos ? list.size() : end + (end == comma ? 2 : 3));
  return part;
}

void split_request(std::string_view request, Event& event) {
  const std::size_t first = request.find(' ');
  const std::size_t last = request.rfind(" HTTP/");
  if (first == std::string_view::npos || first == 0 || first > 32 ||
      !std::all_of(request.begin(), request.begin() + static_cast<std::ptrdiff_t>(first),
                   [](char c) { return is_letter(c) || c == '-' || c == '_'; })) {
    set_once(event.path, request);
    return;
  }
  set_once(event.method, request.substr(0, first));
  const std::size_t end = last == std::string_view::npos || last <= first ? request.size() : last;
  set_once(event.path, request.substr(first + 1, end - first - 1));
}

std::string_view trace_id_of(std::string_view traceparent) {
  constexpr std::size_t kLeast = 55;
  if (traceparent.size() < kLeast || traceparent[2] != '-' || traceparent[35] != '-') {
    return {};
  }
  const std::string_view id = traceparent.substr(3, 32);
  return std::all_of(id.begin(), id.end(), is_hex) ? id : std::string_view();
}

void EventBuilder::add(std::string_view name, std::string_view value) {
  const Meaning* meaning = meaning_of(name);
  if (meaning == nullptr || value.empty()) {
    return;
  }
  switch (meaning->field) {
    case kTime:
    case kExactTime:
      add_time(value, meaning->field == kExactTime ? -1 : meaning->rank);
      break;
    case kId:
      add_id(value, meaning->rank);
      break;
    case kTraceId:
      set_once(event_.trace_id, value);
      add_id(value, 10);
      break;
    case kTraceparent:
      set_once(event_.trace_id, trace_id_of(value));
      add_id(trace_id_of(value), 11);
      break;
    case kUpstreamAddress:
    case kUpstreamStatus:
    case kUpstreamConnect:
    case kUpstreamHeader:
    case kUpstreamResponse:
      add_upstream(name, value);
      break;
    default:
      add_text(meaning->field, value);
      add_number(meaning->field, value);
  }
}

void EventBuilder::add_time(std::string_view value, int rank) {
  if (rank >= time_rank_) {
    return;
  }
  std::size_t used = 0;
  auto stamp = stamp_at(value, used, now_);
  if (!stamp) {
    stamp = epoch_stamp(value);
  }
  if (stamp) {
    event_.stamp = *stamp;
    time_rank_ = rank;
  }
}

void EventBuilder::add_id(std::string_view value, int rank) {
  if (rank < id_rank_ && id::valid(value)) {
    event_.id = value;
    id_rank_ = rank;
  }
}

void EventBuilder::add_upstream(std::string_view name, std::string_view value) {
  switch (meaning_of(name)->field) {
    case kUpstreamAddress:
      set_once(addresses_, value);
      break;
    case kUpstreamStatus:
      set_once(statuses_, value);
      break;
    case kUpstreamConnect:
      set_once(connects_, value);
      break;
    case kUpstreamHeader:
      set_once(headers_, value);
      break;
    default:
      set_once(responses_, value);
  }
}

void EventBuilder::add_text(int field, std::string_view value) {
  switch (field) {
    case kSpanId:
      return set_once(event_.span_id, value);
    case kLevel:
      return set_once(event_.level, lower(value));
    case kMessage:
      return set_once(event_.message, value);
    case kEventName:
      return set_once(event_.event, value);
    case kService:
      return set_once(event_.service, value);
    case kHow:
      return set_once(event_.how, value);
    case kState:
      return set_once(event_.state, value);
    case kClient:
      return set_once(event_.client, value);
    case kHost:
      return set_once(event_.host, value);
    case kRequestLine:
      return set_once(request_, value);
    case kMethod:
      return set_once(event_.method, value);
    case kPath:
      return set_once(event_.path, value);
    default:
      return;
  }
}

void EventBuilder::add_number(int field, std::string_view value) {
  switch (field) {
    case kPid:
      return set_number(event_.pid, value);
    case kTid:
      return set_number(event_.tid, value);
    case kWorker:
      return set_number(event_.worker, value);
    case kOfWorker:
      return set_number(event_.of_worker, value);
    case kOfPid:
      return set_number(event_.of_pid, value);
    case kAge:
      event_.age = millis_as_micros(value).value_or(kUnknown);
      return;
    case kGeneration:
      return set_number(event_.generation, value);
    case kSeq:
      return set_number(event_.seq, value);
    case kConnection:
      return set_number(event_.connection, value);
    case kStatus:
      return set_number(event_.status, value, 999);
    case kBytes:
      return set_number(event_.bytes, value);
    case kSeconds:
      event_.duration = micros_or_unknown(value);
      return;
    case kMillis:
      event_.duration = millis_as_micros(value).value_or(kUnknown);
      return;
    case kNginxQueue:
      event_.nginx_queue = micros_or_unknown(value);
      return;
    case kQueueMs:
      event_.queue = millis_as_micros(value).value_or(kUnknown);
      return;
    case kReadMs:
      event_.read = millis_as_micros(value).value_or(kUnknown);
      return;
    case kHandleMs:
      event_.handle = millis_as_micros(value).value_or(kUnknown);
      return;
    case kWriteMs:
      event_.write = millis_as_micros(value).value_or(kUnknown);
      return;
    default:
      return;
  }
}

void EventBuilder::finish() {
  if (!request_.empty()) {
    split_request(request_, event_);
  }
  std::string_view addresses = addresses_, statuses = statuses_, connects = connects_;
  std::string_view headers = headers_, responses = responses_;
  constexpr std::size_t kMostUpstreams = 64;
  while ((!addresses.empty() || !statuses.empty() || !responses.empty()) &&
         event_.upstreams.size() < kMostUpstreams) {
    Upstream& upstream = event_.upstreams.emplace_back();
    upstream.address = next_in_list(addresses);
    set_number(upstream.status, next_in_list(statuses));
    upstream.connect = micros_or_unknown(next_in_list(connects));
    upstream.header = micros_or_unknown(next_in_list(headers));
    upstream.response = micros_or_unknown(next_in_list(responses));
  }
  decide_kind();
}

void EventBuilder::decide_kind() {
  const bool ours = event_.seq >= 0 && event_.pid > 0;
  const bool answers = event_.status >= 0 || event_.duration != kUnknown;
  const bool asks = !event_.method.empty() || !event_.path.empty() || !event_.upstreams.empty();
  if (ours) {
    event_.kind = event_.event == "request" ? Kind::request
                  : event_.event.empty()    ? Kind::app
                                            : Kind::server;
  } else if (event_.event == "access" ||
             (answers && event_.message.empty() && event_.event.empty() &&
              (asks || event_.duration != kUnknown || time_rank_ < 0))) {
    event_.kind = Kind::access;
  } else {
    event_.kind = Kind::app;
    if (event_.message.empty()) {
      event_.message = event_.event;  // structlog's name for it
    }
  }
}

}  // namespace forktail::story
