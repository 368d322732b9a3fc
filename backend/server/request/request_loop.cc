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
#include "server/shared/own_process.h"
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
      reader_(options, slot),
      body_(options.post_buffering, spool_directory()),
      line_(options, sink) {}

bool RequestLoop::serve(Claim claim) {
  if (!claim) {
    return false;
  }
  claim_ = claim;
  line_.begin();
  slot_.begin_reading(line_.begun().time_since_epoch() / std::chrono::nanoseconds(1));
  const bool handled = serve_request();
  sink_.end_request(thread_);
  body_.release();
  if (claim_) {
    ready_.drop(claim_);
  }
  if (slot_.state() != SlotState::idle) {
    slot_.finish(handled);
  }
  return true;
}

// False when no request came to be handled.
bool RequestLoop::serve_request() {
  using Kind = PacketReader::Packet::Kind;
  reader_.clear();
  id_.clear();
  const PacketReader::Packet packet = read_packet();
  if (packet.kind == Kind::ping) {
    pong();
  } else if (packet.kind == Kind::refused) {
    refuse(packet.refusal);
  }
  if (packet.kind != Kind::request) {
    return false;
  }
  const wire::RequestHead& head = reader_.head();
  line_.came(head.sent);
  reader_.know_peer(claim_.peer.subject);
  ready_.note_peer(head.keep);
  choose_id();
  sink_.begin_request(thread_, id_);
  slot_.name_request(id_, head.method, head.path);
  Context context(id_, head.traceparent, worker_, deadline());
  const Scope scope(context);
  if (const auto refusal = read_body()) {
    refuse(*refusal);
    return false;
  }
  handle(context);
  return true;
}

// A peer that says nothing waits in the ready list, not in a worker.
PacketReader::Packet RequestLoop::read_packet() {
  const Clock::time_point whole = line_.begun() + options_.socket_timeout;
  const milliseconds patience = claim_.kept ? milliseconds(0) : kFirstByte;
  Connection connection = this->connection();
  PacketReader::Packet packet = reader_.read(connection, line_.begun() + patience, whole);
  if (packet.kind == PacketReader::Packet::Kind::silent && !ready_.put_back(claim_, thread_)) {
    packet = reader_.read(connection, whole, whole);
  }
  return packet;
}

// Reads CONTENT_LENGTH bytes, and looks for one more. Each wait for them is bounded, the whole is
// not: a large body over a slow line is no fault.
std::optional<Refusal> RequestLoop::read_body() {
  const std::uint64_t size = reader_.head().content_length;
  if (size > options_.body_limit) {
    return Refusal{
        413, fmt::format("the body has {} bytes, body-limit allows {}", size, options_.body_limit)};
  }
  Connection connection = this->connection();
  bool stored = body_.begin(size, reader_.rest());
  while (stored && !body_.complete()) {
    std::size_t got = 0;
    const Connection::Outcome outcome =
        connection.read(body_.room(), 1, Clock::now() + options_.socket_timeout, got);
    if (outcome == Connection::Outcome::late) {
      return Refusal{408,
                     fmt::format("the body stalled for socket-timeout ({} ms) after {} of {} bytes",
                                 options_.socket_timeout.count(), body_.received(), body_.size())};
    }
    if (outcome != Connection::Outcome::done) {
      return Refusal{400, fmt::format("the connection was closed after {} of {} bytes of the body",
                                      body_.received(), body_.size())};
    }
    stored = body_.add(got);
  }
  if (!stored) {
    return Refusal{
        500, fmt::format("a body of {} bytes can not be kept in a file in {}: {}; make room "
                         "there, name another directory in TMPDIR, or raise post-buffering",
                         body_.size(), body_.directory(), std::generic_category().message(errno))};
  }
  return std::nullopt;
}

void RequestLoop::choose_id() {
  const wire::RequestHead& head = reader_.head();
  if (!head.request_id.empty()) {
    if (id::valid(head.request_id)) {
      id_ = head.request_id;
      return;
    }
    sink_.write(EventKind::bad_id, {},
                "REQUEST_ID is no valid id (8 to 128 of [A-Za-z0-9._~+/=@:-]); a new one was made");
  } else if (options_.trust_header_id && id::valid(head.header_id)) {
    id_ = head.header_id;
    return;
  }
  const std::optional<id::Text> made = ids_.next(id::Format::hex);
  // Without any randomness left in the system a request is still better served than refused.
  id_ = made ? made->view() : "00000000-no-randomness";
}

void RequestLoop::pong() {
  std::array<char, wire::kHeaderSize> bytes{static_cast<char>(wire::kModifierPing), 0, 0, 1};
  iovec part{bytes.data(), bytes.size()};
  connection().write({&part, 1}, options_.socket_timeout);
}

void RequestLoop::refuse(const Refusal& refusal) {
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
  line_.read();
  const Response response(refusal.status, "text/plain",
                          fmt::format("{} {}\nrequest id: {}\n", refusal.status,
                                      wire::reason_phrase(refusal.status), id_));
  answer(response, false);
  linger();
}

// A peer that is sending a large body looks for an answer when it has sent some more of it. Whoever
// never stops keeps this thread for socket-timeout, and no longer than a request may take.
void RequestLoop::linger() {
  const Clock::duration left = deadline() - Clock::now();
  connection().linger(std::clamp(std::chrono::duration_cast<milliseconds>(left), milliseconds(0),
                                 options_.socket_timeout));
}

void RequestLoop::handle(Context& context) {
  slot_.begin_handling();
  line_.read();
  const Request request(reader_.head().variables, body_.view(), body_.file());
  const Response response = call_application(request, context);
  line_.handled();
  const bool keep = offer_to_keep();
  slot_.begin_writing(keep);
  if (answer(response, keep) && keep) {
    slot_.finish(true);
    ready_.keep(claim_, false);
  } else if (body_.surplus()) {
    linger();
  }
}

RequestLoop::Clock::time_point RequestLoop::deadline() const {
  return options_.harakiri.count() > 0 ? line_.begun() + options_.harakiri
                                       : Clock::time_point::max();
}

// Published before the answer offers it: once offered, a connection may not just be closed.
bool RequestLoop::offer_to_keep() {
  // What follows the body would be taken for the next request by whoever reads the connection next.
  return reader_.head().keep && !claim_.peer.last && !body_.surplus() &&
         options_.keepalive_timeout.count() > 0 && !board_.leaving && ready_.offer(claim_, thread_);
}

Response RequestLoop::call_application(const Request& request, Context& context) {
  Response response;
  const auto thrown = thrown_by_application(sink_, id_, "handle", [&] {
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
bool RequestLoop::answer(const Response& response, bool keep) {
  const wire::RequestHead& head = reader_.head();
  const ResponseSender::Terms terms{id_, head.method == "HEAD", keep, head.keep};
  Connection connection = this->connection();
  ResponseSender sender(connection, sink_, options_.socket_timeout, terms, response_head_);
  const ResponseSender::Sent sent = sender.send(response);
  if (sent.whole) {
    slot_.end_writing();
  }
  if (sent.threw) {
    slot_.count_exception();
  }
  slot_.count_response(
      sent.bytes, static_cast<std::uint64_t>(line_.handling(sent) / std::chrono::microseconds(1)));
  line_.write(id_, head, sent);
  return sent.whole;
}

}  // namespace forktail::server
