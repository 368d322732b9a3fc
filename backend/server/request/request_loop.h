// What one worker thread does all day: take a connection, read a request, have the application
// answer it, write the answer, log it.
//
// One object a thread, used by that thread only. Nothing here throws; what the application throws
// ends here.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "forktail/app.h"
#include "id/generate.h"
#include "log/sink.h"
#include "server/dispatch/ready_list.h"
#include "server/request/body_store.h"
#include "server/request/connection.h"
#include "server/request/response_sender.h"
#include "server/request/tls.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"
#include "wire/request_head.h"

namespace forktail::server {

class RequestLoop {
 public:
  // All references must outlive the loop.
  RequestLoop(App& app, const Options& options, const Worker& worker, ReadyList& ready,
              log::Sink& sink, Slot& slot, const Board& board, int thread);

  // Waits for a connection and serves it; false when a signal wants attention instead.
  bool serve_next() { return serve(ready_.next(thread_, poll_)); }

  // The same for a connection that this process has accepted and not published: nobody else can.
  bool serve_at_hand() { return serve(ready_.next_at_hand()); }

  // The same for a connection that waits in a listen queue; false when there is none.
  bool serve_queued() { return serve(ready_.next_queued()); }

  // The same for whatever is ready within `patience`.
  bool serve_within(std::chrono::milliseconds patience) {
    return serve(ready_.next_within(thread_, patience));
  }

 private:
  using Clock = Connection::Clock;

  // Where the time of one request went.
  struct Timing {
    Clock::time_point begun;
    Clock::time_point read;
    Clock::time_point handled;
    std::chrono::nanoseconds queued{};
  };

  // Why a request is refused before the application sees it.
  struct Refusal {
    int status = 0;  // 0: the peer has left or is no longer listening, so there is nobody to answer
    std::string why;
  };

  bool serve(Claim claim);
  bool serve_request(Connection& connection, Claim& claim);
  bool begin_tls(Connection& connection, Claim& claim, Refusal& refusal);
  bool read_packet(Connection& connection, Claim& claim, Refusal& refusal, bool& ping);
  Connection::Outcome fill(Connection& connection, std::size_t size, Clock::time_point deadline);
  bool read_body(Connection& connection, Refusal& refusal);
  void choose_id();
  void refuse(Connection& connection, const Refusal& refusal);
  void handle(Connection& connection, Claim& claim, Context& context);
  Response call_application(const Request& request, Context& context);
  [[nodiscard]] Clock::time_point deadline() const;
  bool offer_to_keep(Claim& claim);
  bool answer(Connection& connection, const Response& response, bool keep);
  void log_slow(Clock::duration handling);
  void log_request(const ResponseSender::Sent& sent, Clock::duration handling);

  App& app_;
  const Options& options_;
  const Worker& worker_;
  ReadyList& ready_;
  log::Sink& sink_;
  Slot& slot_;
  const Board& board_;
  const int thread_;
  id::Generator ids_;
  BusyPoll poll_;

  std::unique_ptr<TlsSession> tls_;  // of the current connection; null: it is plain

  const std::span<char> buffer_;  // the packet, and the part of the body that came with it

  // Of the current request; kept between requests for their memory.
  std::size_t buffered_ = 0;
  std::size_t packet_size_ = 0;
  wire::RequestHead head_;
  BodyStore body_;
  std::string id_;
  std::string response_head_;
  std::string summary_;  // the message of its line in the log
  Timing timing_;
};

}  // namespace forktail::server
