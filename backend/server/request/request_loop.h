// What one worker thread does all day: take a connection, read a request, have the application
// answer it, write the answer, log it.
//
// One object a thread, used by that thread only. Nothing here throws; what the application throws
// ends here.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "forktail/app.h"
#include "id/generate.h"
#include "log/sink.h"
#include "server/dispatch/ready_list.h"
#include "server/request/body_store.h"
#include "server/request/connection.h"
#include "server/request/packet_reader.h"
#include "server/request/request_line.h"
#include "server/request/response_sender.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"

namespace forktail::server {

class RequestLoop {
 public:
  // All references must outlive the loop.
  RequestLoop(App& app, const Options& options, const Worker& worker, ReadyList& ready,
              log::Sink& sink, Slot& slot, const Board& board, int thread);

  // Waits for a connection and serves it; false when an order wants attention instead.
  bool serve_next() { return serve(ready_.next(thread_, poll_, slot_.asleep())); }

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

  bool serve(Claim claim);
  bool serve_request();
  // Read. Nothing: the request may be served; a refusal that says nothing: nobody is there.
  PacketReader::Packet read_packet();
  std::optional<Refusal> read_body();
  void choose_id();
  void pong();
  // Handle.
  void handle(Context& context);
  Response call_application(const Request& request, Context& context);
  [[nodiscard]] Clock::time_point deadline() const;
  // Answer.
  bool offer_to_keep();
  bool answer(const Response& response, bool keep);
  void refuse(const Refusal& refusal);
  void linger();

  // That of the claim, as long as the claim is not published, kept or dropped: all move it.
  [[nodiscard]] Connection connection() { return Connection(claim_.descriptor); }

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

  // Of the current request; kept between requests for their memory.
  Claim claim_;  // empty when the connection has been given back to be kept
  PacketReader reader_;
  BodyStore body_;
  RequestLine line_;
  std::string id_;
  std::string response_head_;
};

}  // namespace forktail::server
