#include "server/request/request_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace forktail::server {

using log::EventKind;

void RequestLine::begin() {
  begun_ = Clock::now();
  queued_ = {};
}

void RequestLine::came(std::optional<std::chrono::milliseconds> sent) {
  if (sent) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    // The two clocks are one on one machine; across machines they may disagree, and no wait is
    // negative.
    queued_ = std::max(std::chrono::nanoseconds::zero(), now - *sent);
  }
}

void RequestLine::write(std::string_view id, const wire::RequestHead& head,
                        const ResponseSender::Sent& sent) {
  if (!options_.disable_logging) {
    write_request(id, head, sent);
  }
  if (options_.slow_request.count() > 0 && handling(sent) > options_.slow_request) {
    write_slow(id, head, handling(sent));
  }
}

void RequestLine::write_request(std::string_view id, const wire::RequestHead& head,
                                const ResponseSender::Sent& sent) {
  const std::array<log::Field, 9> fields{{
      {"method", head.method},
      {"path", head.path},
      {"status", std::int64_t{sent.status}},
      {"bytes", static_cast<std::int64_t>(sent.bytes)},
      {"queue_ms", queued_},
      {"read_ms", read_ - begun_},
      {"handle_ms", handling(sent)},
      {"write_ms", Clock::now() - handled_ - sent.producing},
      {"tls_peer", head.tls_peer},
  }};
  message_.assign(head.method).append(" ").append(head.path).append(" ");
  message_.append(std::to_string(sent.status));
  sink_.write(EventKind::request, id, message_,
              std::span(fields).first(fields.size() - (head.tls_peer.empty() ? 1 : 0)));
}

void RequestLine::write_slow(std::string_view id, const wire::RequestHead& head,
                             Clock::duration took) {
  sink_.write(EventKind::slow, id,
              fmt::format("slow request: {} {} took {} ms", head.method, head.path,
                          std::chrono::round<std::chrono::milliseconds>(took).count()),
              {{"method", head.method}, {"path", head.path}, {"handle_ms", took}});
}

}  // namespace forktail::server
