#include "server/request/packet_reader.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "wire/packet.h"

namespace forktail::server {

namespace {

using Packet = PacketReader::Packet;

Packet refused(int status, std::string why) {
  return {Packet::Kind::refused, {status, std::move(why)}};
}

}  // namespace

void PacketReader::clear() {
  received_ = 0;
  size_ = 0;
  head_.clear();
}

PacketReader::Packet PacketReader::read(Connection& connection, Clock::time_point first_byte,
                                        Clock::time_point deadline) {
  Connection::Outcome outcome = fill(connection, wire::kHeaderSize, first_byte);
  if (outcome == Connection::Outcome::late && first_byte < deadline) {
    if (received_ == 0) {
      return {Packet::Kind::silent};
    }
    outcome = fill(connection, wire::kHeaderSize, deadline);
  }
  if (outcome != Connection::Outcome::done) {
    return interrupted(outcome, wire::kHeaderSize - received_);
  }
  const std::span<const char, wire::kHeaderSize> first(buffer_.data(), wire::kHeaderSize);
  if (const std::string_view foreign = wire::recognise_foreign(first); !foreign.empty()) {
    return refused(400, std::string(foreign));
  }
  const wire::PacketHeader header = wire::read_header(first);
  if (header.modifier1 == wire::kModifierPing) {
    return {Packet::Kind::ping};
  }
  if (header.modifier1 != wire::kModifierRequest) {
    return refused(501, fmt::format("modifier1 {} is not served here (0 is a request, 100 a ping)",
                                    header.modifier1));
  }
  if (header.datasize > options_.buffer_size) {
    return refused(400, fmt::format("the packet has {} bytes, buffer-size allows {}",
                                    header.datasize, options_.buffer_size));
  }
  return read_data(connection, header.datasize, deadline);
}

void PacketReader::know_peer(std::string_view subject) {
  if (!subject.empty()) {
    head_.variables.push_back({wire::kTlsPeerSubject, subject});
    head_.tls_peer = subject;
  }
}

// What follows the packet's header.
PacketReader::Packet PacketReader::read_data(Connection& connection, std::size_t size,
                                             Clock::time_point deadline) {
  size_ = wire::kHeaderSize + size;
  const Connection::Outcome outcome = fill(connection, size_, deadline);
  if (outcome != Connection::Outcome::done) {
    return interrupted(outcome, size_ - received_);
  }
  const std::string_view wrong = wire::read_head({buffer_.data() + wire::kHeaderSize, size}, head_);
  return wrong.empty() ? Packet{Packet::Kind::request} : refused(400, std::string(wrong));
}

// Reads until the buffer holds `size` bytes or more.
Connection::Outcome PacketReader::fill(Connection& connection, std::size_t size,
                                       Clock::time_point deadline) {
  if (received_ >= size) {
    return Connection::Outcome::done;
  }
  std::size_t more = 0;
  const Connection::Outcome outcome =
      connection.read(buffer_.subspan(received_), size - received_, deadline, more);
  received_ += more;
  slot_.note_received(received_);
  return outcome;
}

PacketReader::Packet PacketReader::interrupted(Connection::Outcome outcome,
                                               std::size_t missing) const {
  if (outcome == Connection::Outcome::late) {
    return refused(408,
                   fmt::format("the packet did not come within socket-timeout ({} ms): {} of its "
                               "bytes are missing",
                               options_.socket_timeout.count(), missing));
  }
  if (received_ == 0) {
    // Connected and left, as health checks do; or a kept connection that nobody needs any more.
    return refused(0, "");
  }
  if (outcome == Connection::Outcome::failed) {
    return refused(0, "reading failed: " + std::generic_category().message(errno));
  }
  return refused(400, fmt::format("the connection was closed within the packet: {} of its bytes "
                                  "are missing",
                                  missing));
}

}  // namespace forktail::server
