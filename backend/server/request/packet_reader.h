// Reads the packet of one request after the other, and checks it.
//
// One object a thread, used by that thread only. The bytes are in the thread's slot, where the
// master finds them when the process dies. Nothing throws.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "forktail/api.h"
#include "server/request/connection.h"
#include "server/shared/options.h"
#include "server/shared/slots.h"
#include "wire/request_head.h"

namespace forktail::server {

// Why a request is refused before the application sees it.
struct Refusal {
  int status = 0;  // 0: the peer has left or is no longer listening, so there is nobody to answer
  std::string why = {};  // empty: nor is there anything to say in the log
};

class PacketReader {
 public:
  using Clock = Connection::Clock;

  // Both must outlive it.
  PacketReader(const Options& options, Slot& slot)
      : options_(options), slot_(slot), buffer_(slot.packet()) {}

  struct Packet {
    enum class Kind {
      request,  // head() is its head
      ping,
      silent,   // not a byte has come
      refused,  // `refusal` says why
    };
    Kind kind = Kind::refused;
    Refusal refusal = {};
  };

  // Forgets the last packet.
  void clear();

  // Reads the packet that follows the last clear(). All of it must be there at `deadline`: a peer
  // that sends a byte now and then must not hold a worker. When none of it has come at `first_byte`
  // it is `silent`, and this may be called again.
  Packet read(Connection& connection, Clock::time_point first_byte, Clock::time_point deadline);

  [[nodiscard]] const wire::RequestHead& head() const FORKTAIL_LIFETIMEBOUND { return head_; }
  // Adds what the server itself knows of the peer, if anything: the subject of its certificate.
  // That must outlive the head.
  void know_peer(std::string_view subject);
  // What came with the packet: the beginning of the body, and perhaps something behind it.
  [[nodiscard]] std::string_view rest() const FORKTAIL_LIFETIMEBOUND {
    return {buffer_.data() + size_, received_ - size_};
  }

 private:
  Connection::Outcome fill(Connection& connection, std::size_t size, Clock::time_point deadline);
  [[nodiscard]] Packet interrupted(Connection::Outcome outcome, std::size_t missing) const;
  Packet read_data(Connection& connection, std::size_t size, Clock::time_point deadline);

  const Options& options_;
  Slot& slot_;
  const std::span<char> buffer_;  // the packet, and the part of the body that came with it
  std::size_t received_ = 0;
  std::size_t size_ = 0;    // of the packet
  wire::RequestHead head_;  // kept between requests for its memory
};

}  // namespace forktail::server
