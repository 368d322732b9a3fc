#include "server/os/listen_queue.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstring>

#include "server/os/descriptor.h"

namespace forktail::server {

namespace {

std::optional<ListenQueue> tcp_queue(int listener) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
    return std::nullopt;
  }
  // Of a listening socket these two have a meaning of their own: its backlog, now and at the most.
  return ListenQueue{static_cast<int>(info.tcpi_unacked), static_cast<int>(info.tcpi_sacked)};
}

std::optional<ListenQueue> read_answer(const char* answer, ssize_t size) {
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
  if (!NLMSG_OK(header, static_cast<unsigned>(size)) || header->nlmsg_type == NLMSG_ERROR ||
      header->nlmsg_type == NLMSG_DONE) {
    return std::nullopt;
  }
  const auto* found = static_cast<const unix_diag_msg*>(NLMSG_DATA(header));
  auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof(*found)));
  for (const auto* part = reinterpret_cast<const rtattr*>(found + 1); RTA_OK(part, left);
       part = RTA_NEXT(part, left)) {
    if (part->rta_type == UNIX_DIAG_RQLEN) {
      unix_diag_rqlen length{};
      std::memcpy(&length, RTA_DATA(part), sizeof(length));
      return ListenQueue{static_cast<int>(length.udiag_rqueue),
                         static_cast<int>(length.udiag_wqueue)};
    }
  }
  return std::nullopt;
}

std::optional<ListenQueue> unix_queue(int listener) {
  struct stat status {};
  const Descriptor diag(
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG));
  if (!diag || fstat(listener, &status) != 0) {
    return std::nullopt;
  }
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } question{};
  question.header.nlmsg_len = sizeof(question);
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.request.sdiag_family = AF_UNIX;
  question.request.udiag_states = ~0U;
  question.request.udiag_ino = static_cast<__u32>(status.st_ino);
  question.request.udiag_show = UDIAG_SHOW_RQLEN;
  question.request.udiag_cookie[0] = question.request.udiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (send(diag.get(), &question, sizeof(question), 0) != sizeof(question)) {
    return std::nullopt;
  }
  alignas(nlmsghdr) std::array<char, 1024> answer{};
  // Netlink answers a question about one socket before send() returns.
  const ssize_t size = recv(diag.get(), answer.data(), answer.size(), 0);
  return size > 0 ? read_answer(answer.data(), size) : std::nullopt;
}

}  // namespace

std::optional<ListenQueue> listen_queue(int listener) {
  int family = 0;
  socklen_t size = sizeof(family);
  if (getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) {
    return std::nullopt;
  }
  return family == AF_UNIX ? unix_queue(listener) : tcp_queue(listener);
}

}  // namespace forktail::server
