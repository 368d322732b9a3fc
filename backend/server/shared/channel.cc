#include "server/shared/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "server/os/passing.h"

namespace forktail::server {

namespace {

struct Frame {
  MessageType type;
  std::int32_t worker;
  std::int32_t pid;
  std::array<char, 2000> text;
};
constexpr std::size_t kFrameHead = offsetof(Frame, text);

}  // namespace

std::pair<Channel, Channel> Channel::make() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make a channel to a child");
  }
  return {Channel(Descriptor(ends[0])), Channel(Descriptor(ends[1]))};
}

bool Channel::send(const Message& message) const {
  Frame frame{};
  frame.type = message.type;
  frame.worker = message.worker;
  frame.pid = message.pid;
  const std::size_t text_size = std::min(message.text.size(), frame.text.size());
  std::memcpy(frame.text.data(), message.text.data(), text_size);

  return send_message(descriptor_.get(),
                      std::as_bytes(std::span(&frame, 1)).first(kFrameHead + text_size),
                      message.descriptor.get());
}

void Channel::stop_sending() const { shutdown(descriptor_.get(), SHUT_WR); }

std::optional<Message> Channel::receive(bool& ended) const {
  Frame frame{};
  Descriptor passed;
  const ssize_t size =
      receive_message(descriptor_.get(), std::as_writable_bytes(std::span(&frame, 1)), passed);
  ended = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
  if (size < static_cast<ssize_t>(kFrameHead)) {
    return std::nullopt;
  }
  Message message{frame.type, frame.worker};
  message.text.assign(frame.text.data(), static_cast<std::size_t>(size) - kFrameHead);
  message.descriptor = std::move(passed);
  message.pid = frame.pid;
  return message;
}

}  // namespace forktail::server
