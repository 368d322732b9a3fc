#include "server/os/passing.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace forktail::server {

namespace {

union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))> space;
};

// A copy, since the place in the control data need not be aligned.
template <typename Value>
Value value_of(const cmsghdr* head) {
  Value value;
  std::memcpy(&value, CMSG_DATA(head), sizeof(value));
  return value;
}

// Who is told to may pass more than one: the kernel hands over as many as there is room for.
void take_first(const cmsghdr* head, Descriptor& passed) {
  const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  std::array<int, sizeof(Control) / sizeof(int)> all{};
  std::memcpy(all.data(), CMSG_DATA(head), std::min(count, all.size()) * sizeof(int));
  for (std::size_t i = 0; i < std::min(count, all.size()); ++i) {
    Descriptor one(all[i]);
    if (i == 0) {
      passed = std::move(one);
    }
  }
}

}  // namespace

bool send_message(int socket, std::span<const std::byte> message, int passed) {
  iovec part{const_cast<std::byte*>(message.data()), message.size()};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  Control control{};
  if (passed >= 0) {
    packet.msg_control = &control;
    packet.msg_controllen = CMSG_SPACE(sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
  }
  return sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

ssize_t receive_message(int socket, std::span<std::byte> message, Descriptor& passed,
                        pid_t* sender) {
  iovec part{message.data(), message.size()};
  Control control{};
  msghdr packet{};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  packet.msg_control = &control;
  packet.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (sender != nullptr) {
    *sender = 0;
  }
  for (cmsghdr* head = size >= 0 ? CMSG_FIRSTHDR(&packet) : nullptr; head != nullptr;
       head = CMSG_NXTHDR(&packet, head)) {
    if (head->cmsg_type == SCM_RIGHTS) {
      take_first(head, passed);
    } else if (head->cmsg_type == SCM_CREDENTIALS && sender != nullptr) {
      *sender = value_of<ucred>(head).pid;
    }
  }
  return size;
}

void know_senders(int socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

}  // namespace forktail::server
