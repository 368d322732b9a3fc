// Whatever a client sends as traceparent and tracestate: what is read can be written and read
// again, and what is passed on is well-formed.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "id/trace_context.h"

namespace {

namespace id = forktail::id;

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_traceparent(std::string_view input) {
  const auto parsed = id::parse_traceparent(input);
  if (!parsed) {
    return;
  }
  require(parsed->trace_id.size() == id::kTraceIdLength);
  require(parsed->trace_id.find_first_not_of('0') != std::string_view::npos);
  require(parsed->span_id.size() == id::kSpanIdLength);
  require(parsed->span_id.find_first_not_of('0') != std::string_view::npos);
  require((parsed->flags & ~3) == 0);

  char out[id::kTraceparentLength];
  id::write_traceparent(out, parsed->trace_id, parsed->span_id, parsed->flags);
  const auto again = id::parse_traceparent({out, sizeof(out)});
  require(again && again->trace_id == parsed->trace_id && again->span_id == parsed->span_id &&
          again->flags == parsed->flags);

  char trace_id[id::kTraceIdLength];
  require(id::write_trace_id(trace_id, parsed->trace_id));
  require(parsed->trace_id == std::string_view(trace_id, sizeof(trace_id)));
}

// A tracestate that is passed on must be taken whole by the next one in the line.
void check_tracestate(std::string_view input) {
  std::string out(input.size() + 2, '\0');
  id::TraceState state(out.data());
  const std::size_t cut = input.find('\n');
  state.add(input.substr(0, cut));
  if (cut != std::string_view::npos) {
    state.add(input.substr(cut + 1));
  }
  const std::string_view list = state.list();
  require(list.size() <= input.size() + 1);

  std::string copy(list.size() + 1, '\0');
  id::TraceState next(copy.data());
  next.add(list);
  require(next.list() == list);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_traceparent(input);
  check_tracestate(input);
  char trace_id[id::kTraceIdLength];
  id::write_trace_id(trace_id, input);
  return 0;
}
