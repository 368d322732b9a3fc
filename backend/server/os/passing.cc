#include "server/os/passing.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace forktail::server {

namespace {

union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> space;
};

}  // namespace

bool send_message(int socket, std::span<const std::byte> message, int passed) {
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  Control control{};
  if (passed >= 0) {
    packet.msg_control = &control;
    packet.msg_controllen = sizeof(control);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
  }
  return sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

ssize_t receive_message(int socket, std::span<std::byte> message, Descriptor& passed) {
  iovec part{message.data(), message.size()};
  Control control{};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  packet.msg_control = &control;
  packet.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  const cmsghdr* head = size >= 0 ? CMSG_FIRSTHDR(&packet) : nullptr;
  if (head != nullptr && head->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    passed = Descriptor(fd);
  }
  return size;
}

}  // namespace forktail::server
