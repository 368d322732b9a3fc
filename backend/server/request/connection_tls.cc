// What a connection does differently under TLS.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "server/request/connection.h"
#include "server/request/tls.h"

namespace forktail::server {

namespace {

constexpr std::size_t kRecord = 16384;  // the most that goes into one TLS record (RFC 8446, 5.1)

}  // namespace

Connection::Outcome Connection::peek(std::span<char> out, Clock::time_point deadline,
                                     std::size_t& got) {
  got = 0;
  for (;;) {
    const ssize_t size = recv(descriptor_, out.data(), out.size(), MSG_PEEK);
    if (size >= 0) {
      got = static_cast<std::size_t>(size);
      return size > 0 ? Outcome::done : Outcome::ended;
    }
    if (errno == EAGAIN) {
      if (const Outcome outcome = wait(POLLIN, deadline); outcome != Outcome::done) {
        return outcome;
      }
    } else if (errno != EINTR) {
      return Outcome::failed;
    }
  }
}

Connection::Outcome Connection::handshake(Clock::time_point deadline) {
  for (;;) {
    const ssize_t result = tls_->handshake();
    if (result > 0) {
      return Outcome::done;
    }
    if (result == 0) {
      return Outcome::ended;
    }
    if (errno != EAGAIN) {
      return Outcome::failed;
    }
    if (const Outcome outcome = wait(tls_->wanted(), deadline); outcome != Outcome::done) {
      return outcome;
    }
  }
}

Connection::Outcome Connection::write_tls(std::span<const char> bytes,
                                          std::chrono::milliseconds patience) {
  while (!bytes.empty()) {
    const ssize_t size = tls_->write(bytes.data(), bytes.size());
    if (size > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(size));
    } else if (size == 0 || errno != EAGAIN) {
      return Outcome::failed;
    } else if (const Outcome outcome = wait(tls_->wanted(), Clock::now() + patience);
               outcome != Outcome::done) {
      return outcome;
    }
  }
  return Outcome::done;
}

// Small parts, such as a head and a short body, share a record.
Connection::Outcome Connection::write_tls(std::span<iovec> parts,
                                          std::chrono::milliseconds patience) {
  std::array<char, kRecord> record;
  std::size_t filled = 0;
  for (const iovec& part : parts) {
    std::span<const char> left(static_cast<const char*>(part.iov_base), part.iov_len);
    while (!left.empty()) {
      const std::size_t taken = std::min(left.size(), record.size() - filled);
      std::copy_n(left.begin(), taken, record.begin() + static_cast<std::ptrdiff_t>(filled));
      filled += taken;
      left = left.subspan(taken);
      if (filled == record.size()) {
        if (const Outcome outcome = write_tls(std::span<const char>(record), patience);
            outcome != Outcome::done) {
          return outcome;
        }
        filled = 0;
      }
    }
  }
  return write_tls(std::span<const char>(record).first(filled), patience);
}

Connection::Outcome Connection::send_file_tls(int file, std::uint64_t size,
                                              std::chrono::milliseconds patience,
                                              std::uint64_t& sent) {
  std::array<char, kRecord> record;
  for (sent = 0; sent < size;) {
    const std::size_t most = std::min<std::uint64_t>(record.size(), size - sent);
    const ssize_t read = pread(file, record.data(), most, static_cast<off_t>(sent));
    if (read <= 0) {
      return read == 0 ? Outcome::ended : Outcome::failed;
    }
    const auto part = std::span<const char>(record).first(static_cast<std::size_t>(read));
    if (const Outcome outcome = write_tls(part, patience); outcome != Outcome::done) {
      return outcome;
    }
    sent += part.size();
  }
  return Outcome::done;
}

}  // namespace forktail::server
