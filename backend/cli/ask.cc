#include "cli/ask.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "server/os/descriptor.h"
#include "wire/address.h"

namespace forktail::cli {

std::string ask(const std::string& address, const std::string& question, const char* option,
                int patience) {
  const wire::Address parsed = wire::parse_address(address);
  const server::Descriptor connection(
      socket(parsed.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(connection.get(), parsed.get(), parsed.size) != 0) {
    throw std::runtime_error(
        fmt::format("cannot reach the server at {}: {} (is it running, with {} = {}?)", parsed.text,
                    std::generic_category().message(errno), option, parsed.text));
  }
  const timeval limit{patience, 0};
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (!question.empty() &&
      send(connection.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) {
    throw std::runtime_error("the server closed the connection");
  }
  std::string answer;
  std::array<char, 4096> part;
  ssize_t size = 0;
  while ((size = recv(connection.get(), part.data(), part.size(), 0)) > 0) {
    answer.append(part.data(), static_cast<std::size_t>(size));
  }
  if (size < 0 && errno == EAGAIN) {
    throw std::runtime_error(
        fmt::format("the server at {} has not answered for {} seconds", parsed.text, patience));
  }
  return answer;
}

}  // namespace forktail::cli
