#include "server/request/response_sender.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <optional>
#include <system_error>

#include "server/request/at_work.h"
#include "server/shared/own_process.h"
#include "wire/response_head.h"

namespace forktail::server {

namespace {

using log::EventKind;

iovec part(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

Response internal_error(std::string_view id) {
  return {500, "text/plain", fmt::format("500 Internal Server Error\nrequest id: {}\n", id)};
}

// The body of a stream, with the head before its first bytes.
class ResponseSender::Stream final : public Writer {
 public:
  explicit Stream(ResponseSender& sender) : sender_(sender) {}

  bool write(std::string_view bytes) override {
    end_if_copy(sender_.sink_, sender_.terms_.id, "stream");
    if (bytes.empty()) {
      return alive_;  // a chunk without bytes would be the last one
    }
    std::string size;
    if (sender_.terms_.chunks) {
      size = fmt::format("{:x}\r\n", bytes.size());
    }
    if (put({part(size), part(bytes), part(size.empty() ? "" : "\r\n")})) {
      sent_ += bytes.size();
    }
    return alive_;
  }

  // False when the peer has not got all of it.
  bool finish() {
    return put({part(sender_.terms_.chunks ? "0\r\n\r\n" : ""), part(""), part("")});
  }

  [[nodiscard]] bool begun() const { return begun_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] Connection::Clock::duration writing() const { return writing_; }

 private:
  bool put(const std::array<iovec, 3>& body) {
    const std::string_view head = begun_ ? std::string_view() : sender_.head_;
    std::array<iovec, 4> parts{part(head), body[0], body[1], body[2]};
    begun_ = true;
    const auto begin = Connection::Clock::now();
    alive_ = alive_ && sender_.transmit(parts);
    writing_ += Connection::Clock::now() - begin;
    return alive_;
  }

  ResponseSender& sender_;
  bool begun_ = false;
  bool alive_ = true;
  std::uint64_t sent_ = 0;
  Connection::Clock::duration writing_{};
};

ResponseSender::Sent ResponseSender::send(const Response& response) {
  std::string wrong;
  if (!wire::compose_head(response, terms_.id, terms_.keep, terms_.chunks, head_, wrong)) {
    log(EventKind::bad_response, "the application's response can not be sent", wrong);
    return send(internal_error(terms_.id));
  }
  if (!wire::body_allowed(response.status(), terms_.head_request)) {
    iovec head = part(head_);
    return {response.status(), 0, transmit({&head, 1})};
  }
  if (response.stream()) {
    return send_stream(response);
  }
  return response.file() != nullptr ? send_file(response) : send_string(response);
}

// A small body costs less to copy behind the head than to send as a second part.
ResponseSender::Sent ResponseSender::send_string(const Response& response) {
  constexpr std::size_t kSmall = 4096;
  if (response.body().size() <= kSmall) {
    head_ += response.body();
    iovec all = part(head_);
    return {response.status(), response.body().size(), transmit({&all, 1})};
  }
  std::array<iovec, 2> parts{part(head_), part(response.body())};
  return {response.status(), response.body().size(), transmit(parts)};
}

ResponseSender::Sent ResponseSender::send_file(const Response& response) {
  const ResponseFile& file = *response.file();
  Sent sent{response.status()};
  iovec head = part(head_);
  if (!transmit({&head, 1}, file.size() > 0)) {
    return sent;
  }
  const Connection::Outcome outcome =
      connection_.send_file(file.descriptor(), file.size(), patience_, sent.bytes);
  if (outcome == Connection::Outcome::ended) {
    log(EventKind::response_cut, "the response was cut",
        fmt::format("its file shrank from {} to {} bytes while it was sent", file.size(),
                    sent.bytes));
    return sent;
  }
  sent.whole = done(outcome);
  return sent;
}

ResponseSender::Sent ResponseSender::send_stream(const Response& response) {
  Stream stream(*this);
  const auto begin = Connection::Clock::now();
  const auto thrown = thrown_by_application(sink_, terms_.id, "stream", [&] {
    const AtWork at_work;
    response.stream()(stream);
  });
  const auto producing = Connection::Clock::now() - begin - stream.writing();
  if (thrown) {
    sink_.write(EventKind::app_threw, terms_.id,
                "the application threw while it streamed: " + *thrown,
                {{"what", *thrown}, {"during", std::string_view("stream")}});
    Sent sent{response.status(), stream.sent()};
    if (!stream.begun()) {
      sent = send(internal_error(terms_.id));
    }
    sent.threw = true;
    sent.producing = producing;
    return sent;
  }
  const bool whole = stream.finish();
  return {response.status(), stream.sent(), whole, false, producing};
}

bool ResponseSender::transmit(std::span<iovec> parts, bool more_follows) {
  return done(connection_.write(parts, patience_, more_follows));
}

bool ResponseSender::done(Connection::Outcome outcome) {
  if (outcome == Connection::Outcome::late) {
    log(EventKind::response_cut, "the response was cut",
        "the web server took nothing for socket-timeout");
  } else if (outcome == Connection::Outcome::failed) {
    log(EventKind::response_not_taken, "the response was not taken",
        std::generic_category().message(errno));
  }
  return outcome == Connection::Outcome::done;
}

}  // namespace forktail::server
