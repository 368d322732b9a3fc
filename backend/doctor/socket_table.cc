#include "doctor/socket_table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

namespace forktail::doctor {

namespace {

constexpr int kEstablished = 1;  // TCP's states, which unix and UDP sockets have too
constexpr int kListening = 10;

std::string address_text(int family, const void* address, std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(family, address, text.data(), text.size());
  return family == AF_INET6 ? fmt::format("[{}]:{}", text.data(), ntohs(port))
                            : fmt::format("{}:{}", text.data(), ntohs(port));
}

// The descriptor of a netlink socket that looks into the namespace of `pid`, or -1.
int diag_socket(pid_t pid, std::string& problem) {
  const auto namespace_of = [](const std::string& whose) {
    return open(fmt::format("/proc/{}/ns/net", whose).c_str(), O_RDONLY | O_CLOEXEC);
  };
  const int own = namespace_of("self");
  const int theirs = namespace_of(fmt::format("{}", pid));
  struct stat here {};
  struct stat there {};
  const bool elsewhere = own >= 0 && theirs >= 0 && fstat(own, &here) == 0 &&
                         fstat(theirs, &there) == 0 && here.st_ino != there.st_ino;
  int diag = -1;
  if (elsewhere && setns(theirs, CLONE_NEWNET) != 0) {
    problem = fmt::format("it is in a network namespace of its own, which root alone may enter: {}",
                          std::generic_category().message(errno));
  } else {
    diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (diag < 0) {
      problem = fmt::format("NETLINK_SOCK_DIAG: {}", std::generic_category().message(errno));
    }
    if (elsewhere) {
      setns(own, CLONE_NEWNET);
    }
  }
  close(own);
  close(theirs);
  const timeval limit{2, 0};
  setsockopt(diag, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return diag;
}

// Sends a question and hands each of the answers to `take`, until the kernel says that it is done.
template <typename Request, typename Take>
void dump(int diag, const Request& request, Take take) {
  struct {
    nlmsghdr header;
    Request request;
  } question{};
  question.header.nlmsg_len = sizeof(question);
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.request = request;
  if (send(diag, &question, sizeof(question), 0) != sizeof(question)) {
    return;
  }
  alignas(nlmsghdr) std::array<char, 65536> part{};
  for (ssize_t size = 0; (size = recv(diag, part.data(), part.size(), 0)) > 0;) {
    auto left = static_cast<unsigned>(size);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(part.data());
         NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
        return;
      }
      take(*header);
    }
  }
}

using Sockets = std::map<std::uint64_t, SocketFacts>;

void add_inet(int diag, int family, int protocol, Sockets& sockets) {
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<__u8>(family);
  request.sdiag_protocol = static_cast<__u8>(protocol);
  request.idiag_states = ~0U;
  dump(diag, request, [&](const nlmsghdr& header) {
    const auto* found = static_cast<const inet_diag_msg*>(NLMSG_DATA(&header));
    SocketFacts facts;
    facts.datagrams = protocol == IPPROTO_UDP;
    facts.listening = !facts.datagrams && found->idiag_state == kListening;
    facts.connected = !facts.listening && found->id.idiag_dport != 0;
    facts.local = address_text(family, found->id.idiag_src, found->id.idiag_sport);
    if (facts.connected) {
      facts.peer = address_text(family, found->id.idiag_dst, found->id.idiag_dport);
    }
    sockets[found->idiag_inode] = std::move(facts);
  });
}

std::string unix_name(const char* name, std::size_t size) {
  std::string text(name, size);
  if (!text.empty() && text[0] == '\0') {
    text[0] = '@';  // Linux's abstract names
  } else {
    text.resize(strnlen(text.data(), text.size()));
  }
  return text;
}

void add_unix(int diag, Sockets& sockets) {
  unix_diag_req request{};
  request.sdiag_family = AF_UNIX;
  request.udiag_states = ~0U;
  request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER;
  dump(diag, request, [&](const nlmsghdr& header) {
    const auto* found = static_cast<const unix_diag_msg*>(NLMSG_DATA(&header));
    SocketFacts facts;
    facts.is_unix = true;
    facts.datagrams = found->udiag_type == SOCK_DGRAM;
    facts.listening = found->udiag_state == kListening;
    facts.connected = found->udiag_state == kEstablished;
    auto left = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(*found)));
    for (const auto* part = reinterpret_cast<const rtattr*>(found + 1); RTA_OK(part, left);
         part = RTA_NEXT(part, left)) {
      if (part->rta_type == UNIX_DIAG_NAME) {
        facts.local = unix_name(static_cast<const char*>(RTA_DATA(part)), RTA_PAYLOAD(part));
      } else if (part->rta_type == UNIX_DIAG_PEER) {
        __u32 inode = 0;
        std::memcpy(&inode, RTA_DATA(part), sizeof(inode));
        facts.peer_inode = inode;
        facts.connected = true;
      }
    }
    sockets[found->udiag_ino] = std::move(facts);
  });
}

// A unix peer's name is its own.
void name_unix_peers(Sockets& sockets) {
  for (auto& [inode, facts] : sockets) {
    if (const auto peer = sockets.find(facts.peer_inode);
        facts.is_unix && facts.peer_inode != 0 && peer != sockets.end()) {
      facts.peer = peer->second.local;
    }
  }
}

}  // namespace

std::string text_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& inet = reinterpret_cast<const sockaddr_in&>(address);
    return address_text(AF_INET, &inet.sin_addr, inet.sin_port);
  }
  if (address.sa_family == AF_INET6) {
    const auto& inet6 = reinterpret_cast<const sockaddr_in6&>(address);
    return address_text(AF_INET6, &inet6.sin6_addr, inet6.sin6_port);
  }
  return {};
}

SocketTable SocketTable::of(pid_t pid) {
  SocketTable table;
  const int diag = diag_socket(pid, table.problem_);
  if (diag < 0) {
    return table;
  }
  for (const int family : {AF_INET, AF_INET6}) {
    for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
      add_inet(diag, family, protocol, table.sockets_);
    }
  }
  add_unix(diag, table.sockets_);
  close(diag);
  name_unix_peers(table.sockets_);
  table.sockets_.erase(0);  // of connections that no process has
  return table;
}

const SocketFacts* SocketTable::find(std::uint64_t inode) const {
  const auto found = sockets_.find(inode);
  return found == sockets_.end() ? nullptr : &found->second;
}

}  // namespace forktail::doctor
