#include "server/request/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace forktail::server {

namespace {

// Whoever has the connection, the application of any worker included, may have made it blocking.
ssize_t send_some(int descriptor, std::span<iovec> parts, bool more_follows) {
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more_follows ? MSG_MORE : 0);
  if (parts.size() == 1) {
    return send(descriptor, parts.front().iov_base, parts.front().iov_len, flags);
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return sendmsg(descriptor, &message, flags);
}

constexpr std::chrono::milliseconds kNoticed{200};
constexpr std::chrono::milliseconds kSecondChance{1000};

}  // namespace

Connection::Outcome Connection::wait(short events, Clock::time_point deadline) const {
  for (bool again = false, given = false;; again = true) {
    const Clock::time_point now = Clock::now();
    // Who wakes that late stood still, with the machine perhaps, and so did the peer, which gets as
    // much time once more.
    if (const auto missed = now - deadline; again && !given && missed > kNoticed) {
      deadline = now + std::min<Clock::duration>(missed, kSecondChance);
      given = true;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
    if (left <= 0) {
      return Outcome::late;
    }
    pollfd watched{descriptor_, events, 0};
    const int ready = poll(&watched, 1, static_cast<int>(std::min<long>(left, 60'000)));
    if (ready > 0) {
      return Outcome::done;
    }
    if (ready < 0 && errno != EINTR) {
      return Outcome::failed;
    }
  }
}

Connection::Outcome Connection::read(std::span<char> out, std::size_t least,
                                     Clock::time_point deadline, std::size_t& got) {
  got = 0;
  while (got < least) {
    const ssize_t size = recv(descriptor_, out.data() + got, out.size() - got, MSG_DONTWAIT);
    if (size > 0) {
      got += static_cast<std::size_t>(size);
    } else if (size == 0) {
      return Outcome::ended;
    } else if (errno == EAGAIN) {
      if (const Outcome outcome = wait(POLLIN, deadline); outcome != Outcome::done) {
        return outcome;
      }
    } else if (errno != EINTR) {
      return Outcome::failed;
    }
  }
  return Outcome::done;
}

Connection::Outcome Connection::write(std::span<iovec> parts, std::chrono::milliseconds patience,
                                      bool more_follows) {
  while (!parts.empty()) {
    const ssize_t size = send_some(descriptor_, parts, more_follows);
    if (size < 0) {
      if (errno == EAGAIN) {
        const Outcome outcome = wait(POLLOUT, Clock::now() + patience);
        if (outcome != Outcome::done) {
          return outcome;
        }
      } else if (errno != EINTR) {
        return Outcome::failed;
      }
      continue;
    }
    auto sent = static_cast<std::size_t>(size);
    while (!parts.empty() && sent >= parts.front().iov_len) {
      sent -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + sent;
      parts.front().iov_len -= sent;
    }
  }
  return Outcome::done;
}

Connection::Outcome Connection::send_file(int file, std::uint64_t size,
                                          std::chrono::milliseconds patience, std::uint64_t& sent) {
  off_t offset = 0;
  Outcome outcome = Outcome::done;
  while (outcome == Outcome::done && static_cast<std::uint64_t>(offset) < size) {
    fcntl(descriptor_, F_SETFL, O_RDWR | O_NONBLOCK);  // it knows no MSG_DONTWAIT
    const ssize_t taken =
        sendfile(descriptor_, file, &offset, size - static_cast<std::uint64_t>(offset));
    if (taken == 0) {
      outcome = Outcome::ended;
    } else if (taken < 0 && errno == EAGAIN) {
      outcome = wait(POLLOUT, Clock::now() + patience);
    } else if (taken < 0 && errno != EINTR) {
      outcome = Outcome::failed;
    }
  }
  sent = static_cast<std::uint64_t>(offset);
  return outcome;
}

void Connection::linger(std::chrono::milliseconds patience) {
  constexpr std::chrono::seconds kSilence{1};
  shutdown(descriptor_, SHUT_WR);
  std::array<char, 65536> unwanted;
  const Clock::time_point end = Clock::now() + patience;
  Outcome outcome = Outcome::done;
  for (std::size_t got = 0; outcome == Outcome::done && Clock::now() < end;) {
    outcome = read(unwanted, 1, std::min<Clock::time_point>(end, Clock::now() + kSilence), got);
  }
}

}  // namespace forktail::server
