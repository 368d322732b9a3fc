#include "server/request/request_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "id/validate.h"
#include "server/request/at_work.h"
#include "server/request/response_sender.h"
#include "server/shared/thrown_by.h"
#include "wire/packet.h"
#include "wire/response_head.h"

namespace forktail::server {

namespace {

using log::EventKind;
using std::chrono::milliseconds;

// How long to wait, in a worker, for the first byte of a connection that was just accepted.
constexpr milliseconds kFirstByte{1};

// TMPDIR, if it names one.
std::string spool_directory() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::temp_directory_path(error);
  return error ? "/tmp" : path.string();
}

std::chrono::nanoseconds queued(std::optional<milliseconds> sent) {
  if (!sent) {
    return {};
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  // The two clocks are one on one machine; across machines they may disagree, and no wait is
  // negative.
  return std::max(std::chrono::nanoseconds::zero(), now - *sent);
}

}  // namespace

RequestLoop::RequestLoop(App& app, const Options& options, const Worker& worker, ReadyList& ready,
                         log::Sink& sink, Slot& slot, const Board& board, int thread)
    : app_(app),
      options_(options),
      worker_(worker),
      ready_(ready),
      sink_(sink),
      slot_(slot),
      board_(board),
      thread_(thread),
      buffer_(slot.packet()),
      body_(options.post_buffering, spool_directory()) {}

bool RequestLoop::serve(Claim claim) {
  if (!claim) {
    return false;
  }
  Connection connection(claim.descriptor);
  timing_ = {};
  timing_.begun = Clock::now();
  slot_.begin_reading(timing_.begun.time_since_epoch() / std::chrono::nanoseconds(1));
  const bool handled = serve_request(connection, claim);
  sink_.end_request(thread_);
  body_.release();
  if (tls_) {
    tls_->finish();
    tls_.reset();
  }
  if (claim) {
    ready_.drop(claim);
  }
  if (slot_.state() != SlotState::idle) {
    slot_.finish(handled);
  }
  return true;
}

// Leaves an empty claim when the connection has been given back to be kept. False when no request
// came to be handled.
bool RequestLoop::serve_request(Connection& connection, Claim& claim) {
  head_.clear();
  id_.clear();
  Refusal refusal;
  bool ping = false;
  if (speaks_tls(options_, claim.descriptor) && !begin_tls(connection, claim, refusal)) {
    refuse(connection, refusal);
    return false;
  }
  if (!read_packet(connection, claim, refusal, ping)) {
    refuse(connection, refusal);
    return false;
  }
  if (ping) {
    std::array<char, wire::kHeaderSize> pong{static_cast<char>(wire::kModifierPing), 0, 0, 1};
    iovec part{pong.data(), pong.size()};
    connection.write({&part, 1}, options_.socket_timeout);
    return false;
  }
  ready_.note_peer(head_.keep && !tls_);
  choose_id();
  sink_.begin_request(thread_, id_);
  slot_.name_request(id_, head_.method, head_.path);
  Context context(id_, head_.traceparent, worker_, deadline());
  const Scope scope(context);
  if (!read_body(connection, refusal)) {
    refuse(connection, refusal);
    return false;
  }
  handle(connection, claim, context);
  return true;
}

// Reads until the buffer holds `size` bytes or more.
Connection::Outcome RequestLoop::fill(Connection& connection, std::size_t size,
                                      Clock::time_point deadline) {
  if (buffered_ >= size) {
    return Connection::Outcome::done;
  }
  std::size_t more = 0;
  const Connection::Outcome outcome =
      connection.read(buffer_.subspan(buffered_), size - buffered_, deadline, more);
  buffered_ += more;
  slot_.note_received(buffered_);
  return outcome;
}

// The handshake, all of it within `socket-timeout`. A peer that says nothing waits in the ready
// list: as long as it has said nothing, any worker can begin with it.
bool RequestLoop::begin_tls(Connection& connection, Claim& claim, Refusal& refusal) {
  constexpr char kHandshakeRecord = 0x16;
  const Clock::time_point deadline = timing_.begun + options_.socket_timeout;
  const milliseconds patience = claim.kept ? milliseconds(0) : kFirstByte;
  std::array<char, wire::kHeaderSize> first{};
  std::size_t got = 0;
  Connection::Outcome outcome = connection.peek(first, timing_.begun + patience, got);
  if (outcome == Connection::Outcome::late) {
    if (ready_.put_back(claim, thread_)) {
      return false;
    }
    outcome = connection.peek(first, deadline, got);
  }
  if (outcome != Connection::Outcome::done) {
    return false;  // connected and left, or said nothing at all
  }
  if (first[0] != kHandshakeRecord) {
    const std::string_view foreign = wire::recognise_foreign(first);
    refusal = {0, fmt::format("{}; this socket speaks TLS, as tls-cert is set for TCP",
                              foreign.empty() ? "this is no TLS" : foreign)};
    return false;
  }
  tls_ = std::make_unique<TlsSession>(*options_.tls, claim.descriptor);
  connection = Connection(claim.descriptor, tls_.get());
  outcome = connection.handshake(deadline);
  if (outcome == Connection::Outcome::late) {
    refusal = {0, fmt::format("the TLS handshake did not end within socket-timeout ({} ms)",
                              options_.socket_timeout.count())};
  } else if (outcome != Connection::Outcome::done) {
    refusal = {0, fmt::format("the TLS handshake failed: {}",
                              tls_->error().empty() ? std::generic_category().message(errno)
                                                    : tls_->error())};
  }
  return outcome == Connection::Outcome::done;
}

// Reads and checks the packet. The whole of it must arrive within `socket-timeout`: a peer that
// sends a byte now and then must not hold a worker.
bool RequestLoop::read_packet(Connection& connection, Claim& claim, Refusal& refusal, bool& ping) {
  const Clock::time_point deadline = timing_.begun + options_.socket_timeout;
  const auto interrupted = [&](Connection::Outcome outcome, std::size_t missing) {
    if (outcome == Connection::Outcome::late) {
      refusal = {408,
                 fmt::format("the packet did not come within socket-timeout ({} ms): {} of its "
                             "bytes are missing",
                             options_.socket_timeout.count(), missing)};
    } else if (buffered_ == 0) {
      // Connected and left, as health checks do; or a kept connection that nobody needs any more.
      refusal = {0, ""};
    } else if (outcome == Connection::Outcome::failed) {
      refusal = {0, "reading failed: " + std::generic_category().message(errno)};
    } else {
      refusal = {400,
                 fmt::format("the connection was closed within the packet: {} of its bytes are "
                             "missing",
                             missing)};
    }
    return false;
  };

  buffered_ = 0;
  const milliseconds patience = claim.kept ? milliseconds(0) : kFirstByte;
  Connection::Outcome outcome =
      fill(connection, wire::kHeaderSize, tls_ ? deadline : timing_.begun + patience);
  if (outcome == Connection::Outcome::late && buffered_ == 0 && !tls_ &&
      ready_.put_back(claim, thread_)) {
    return false;  // a peer that says nothing waits in the ready list, not in a worker
  }
  if (outcome == Connection::Outcome::late) {
    outcome = fill(connection, wire::kHeaderSize, deadline);
  }
  if (outcome != Connection::Outcome::done) {
    return interrupted(outcome, wire::kHeaderSize - buffered_);
  }
  const std::span<const char, wire::kHeaderSize> first(buffer_.data(), wire::kHeaderSize);
  if (const std::string_view foreign = wire::recognise_foreign(first); !foreign.empty()) {
    refusal = {400, std::string(foreign)};
    return false;
  }
  const wire::PacketHeader header = wire::read_header(first);
  ping = header.modifier1 == wire::kModifierPing;
  if (ping) {
    return true;
  }
  if (header.modifier1 != wire::kModifierRequest) {
    refusal = {501, fmt::format("modifier1 {} is not served here (0 is a request, 100 a ping)",
                                header.modifier1)};
    return false;
  }
  if (header.datasize > options_.buffer_size) {
    refusal = {400, fmt::format("the packet has {} bytes, buffer-size allows {}", header.datasize,
                                options_.buffer_size)};
    return false;
  }
  packet_size_ = wire::kHeaderSize + header.datasize;
  outcome = fill(connection, packet_size_, deadline);
  if (outcome != Connection::Outcome::done) {
    return interrupted(outcome, packet_size_ - buffered_);
  }
  const std::string_view wrong =
      wire::read_head({buffer_.data() + wire::kHeaderSize, header.datasize}, head_);
  if (!wrong.empty()) {
    refusal = {400, std::string(wrong)};
    return false;
  }
  timing_.queued = queued(head_.sent);
  return true;
}

// Reads CONTENT_LENGTH bytes, and looks for one more. Each wait for them is bounded, the whole is
// not: a large body over a slow line is no fault.
bool RequestLoop::read_body(Connection& connection, Refusal& refusal) {
  if (head_.content_length > options_.body_limit) {
    refusal = {413, fmt::format("the body has {} bytes, body-limit allows {}", head_.content_length,
                                options_.body_limit)};
    return false;
  }
  bool stored =
      body_.begin(head_.content_length, {buffer_.data() + packet_size_, buffered_ - packet_size_});
  while (stored && !body_.complete()) {
    std::size_t got = 0;
    const Connection::Outcome outcome =
        connection.read(body_.room(), 1, Clock::now() + options_.socket_timeout, got);
    if (outcome == Connection::Outcome::late) {
      refusal = {408,
                 fmt::format("the body stalled for socket-timeout ({} ms) after {} of {} bytes",
                             options_.socket_timeout.count(), body_.received(), body_.size())};
      return false;
    }
    if (outcome != Connection::Outcome::done) {
      refusal = {400, fmt::format("the connection was closed after {} of {} bytes of the body",
                                  body_.received(), body_.size())};
      return false;
    }
    stored = body_.add(got);
  }
  if (!stored) {
    refusal = {
        500, fmt::format("a body of {} bytes can not be kept in a file in {}: {}; make room "
                         "there, name another directory in TMPDIR, or raise post-buffering",
                         body_.size(), body_.directory(), std::generic_category().message(errno))};
  }
  return stored;
}

void RequestLoop::choose_id() {
  if (!head_.request_id.empty()) {
    if (id::valid(head_.request_id)) {
      id_ = head_.request_id;
      return;
    }
    sink_.write(EventKind::bad_id, {},
                "REQUEST_ID is no valid id (8 to 128 of [A-Za-z0-9._~+/=@:-]); a new one was made");
  } else if (options_.trust_header_id && id::valid(head_.header_id)) {
    id_ = head_.header_id;
    return;
  }
  const std::optional<id::Text> made = ids_.next(id::Format::hex);
  // Without any randomness left in the system a request is still better served than refused.
  id_ = made ? made->view() : "00000000-no-randomness";
}

void RequestLoop::refuse(Connection& connection, const Refusal& refusal) {
  if (refusal.status == 0 && refusal.why.empty()) {
    return;
  }
  if (id_.empty()) {
    choose_id();
  }
  const std::array<log::Field, 2> fields{
      {{"status", std::int64_t{refusal.status}}, {"reason", refusal.why}}};
  if (refusal.status == 500) {
    sink_.write(EventKind::body_not_stored, id_, refusal.why, fields);
  } else {
    sink_.write(EventKind::bad_request, id_, "bad request: " + refusal.why, fields);
  }
  if (refusal.status == 0) {
    return;
  }
  timing_.read = timing_.handled = Clock::now();
  const Response response(refusal.status, "text/plain",
                          fmt::format("{} {}\nrequest id: {}\n", refusal.status,
                                      wire::reason_phrase(refusal.status), id_));
  answer(connection, response, false);
  connection.linger();
}

void RequestLoop::handle(Connection& connection, Claim& claim, Context& context) {
  slot_.begin_handling();
  timing_.read = Clock::now();
  const Request request(head_.variables, body_.view(), body_.file());
  const Response response = call_application(request, context);
  timing_.handled = Clock::now();
  const bool keep = offer_to_keep(claim);
  slot_.begin_writing(keep);
  connection = Connection(claim.descriptor, tls_.get());  // publishing moves it
  if (answer(connection, response, keep) && keep) {
    slot_.finish(true);
    ready_.keep(claim, false);
  } else if (body_.surplus()) {
    connection.linger();
  }
}

RequestLoop::Clock::time_point RequestLoop::deadline() const {
  return options_.harakiri.count() > 0 ? timing_.begun + options_.harakiri
                                       : Clock::time_point::max();
}

// Published before the answer offers it: once offered, a connection may not just be closed.
bool RequestLoop::offer_to_keep(Claim& claim) {
  // What follows the body would be taken for the next request by whoever reads the connection next.
  // TLS is known to this process only.
  return head_.keep && !tls_ && !body_.surplus() && options_.keepalive_timeout.count() > 0 &&
         !board_.leaving && ready_.offer(claim, thread_);
}

Response RequestLoop::call_application(const Request& request, Context& context) {
  Response response;
  const auto thrown = thrown_by([&] {
    const AtWork at_work;
    response = app_.handle(request, context);
  });
  if (thrown) {
    sink_.write(EventKind::app_threw, id_, "the application threw: " + *thrown,
                {{"what", *thrown}, {"during", std::string_view("handle")}});
    slot_.count_exception();
    return internal_error(id_);
  }
  return response;
}

// False when the peer has not got the whole of it.
bool RequestLoop::answer(Connection& connection, const Response& response, bool keep) {
  const ResponseSender::Terms terms{id_, head_.method == "HEAD", keep, head_.keep};
  ResponseSender sender(connection, sink_, options_.socket_timeout, terms, response_head_);
  const ResponseSender::Sent sent = sender.send(response);
  if (sent.whole) {
    slot_.end_writing();
  }
  if (sent.threw) {
    slot_.count_exception();
  }
  const auto handling = timing_.handled - timing_.read + sent.producing;
  slot_.count_response(sent.bytes,
                       static_cast<std::uint64_t>(handling / std::chrono::microseconds(1)));
  if (!options_.disable_logging) {
    log_request(sent, handling);
  }
  if (options_.slow_request.count() > 0 && handling > options_.slow_request) {
    log_slow(handling);
  }
  return sent.whole;
}

void RequestLoop::log_slow(Clock::duration handling) {
  sink_.write(EventKind::slow, id_,
              fmt::format("slow request: {} {} took {} ms", head_.method, head_.path,
                          std::chrono::round<milliseconds>(handling).count()),
              {{"method", head_.method}, {"path", head_.path}, {"handle_ms", handling}});
}

void RequestLoop::log_request(const ResponseSender::Sent& sent, Clock::duration handling) {
  const Clock::time_point now = Clock::now();
  const std::array<log::Field, 8> fields{{
      {"method", head_.method},
      {"path", head_.path},
      {"status", std::int64_t{sent.status}},
      {"bytes", static_cast<std::int64_t>(sent.bytes)},
      {"queue_ms", timing_.queued},
      {"read_ms", timing_.read - timing_.begun},
      {"handle_ms", handling},
      {"write_ms", now - timing_.handled - sent.producing},
  }};
  summary_.assign(head_.method).append(" ").append(head_.path).append(" ");
  summary_.append(std::to_string(sent.status));
  sink_.write(EventKind::request, id_, summary_, fields);
}

}  // namespace forktail::server
