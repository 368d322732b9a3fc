#include "server/master/endpoint.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

namespace forktail::server {

namespace {

constexpr std::size_t kLongestQuestion = 8192;
constexpr std::size_t kMostClients = 64;
constexpr std::chrono::seconds kPatience{5};

Listener open_endpoint(const std::string& address, std::optional<mode_t> mode,
                       std::vector<Listener>& handed_over) {
  for (Listener& listener : handed_over) {
    if (listener.descriptor && same_address(listener.address, wire::parse_address(address))) {
      return std::move(listener);
    }
  }
  return open_own_listener(address, mode);
}

}  // namespace

Endpoint::Endpoint(const std::string& address, Speaks speaks, std::optional<mode_t> mode,
                   std::vector<Listener>& handed_over, Handler handler)
    : listener_(open_endpoint(address, mode, handed_over)),
      speaks_(speaks),
      handler_(std::move(handler)) {}

void Endpoint::disown() {
  listener_.ours = false;
  listener_.descriptor.reset();
}

void Endpoint::watch(std::vector<pollfd>& watched) const {
  if (clients_.size() < kMostClients) {
    watched.push_back({listener_.descriptor.get(), POLLIN, 0});
  }
  for (const auto& [id, client] : clients_) {
    if (!client.asked || client.answered) {
      const short events = client.answered ? POLLOUT : POLLIN;
      watched.push_back({client.descriptor.get(), events, 0});
    }
  }
}

void Endpoint::attend() {
  accept_clients();
  for (auto entry = clients_.begin(); entry != clients_.end();) {
    Client& client = entry->second;
    if (!client.asked) {
      read_question(entry->first, client);
    }
    const bool is_over = client.answered && write_answer(client);
    if (is_over) {
      // The peer sees the end only when it has read everything, also on TCP.
      shutdown(client.descriptor.get(), SHUT_WR);
    }
    const bool late = (!client.asked || client.answered) && client.deadline <= Clock::now();
    entry = is_over || late || !client.descriptor ? clients_.erase(entry) : std::next(entry);
  }
}

void Endpoint::accept_clients() {
  while (clients_.size() < kMostClients) {
    Descriptor descriptor(
        accept4(listener_.descriptor.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!descriptor) {
      return;
    }
    clients_[++last_id_] = {std::move(descriptor), Clock::now() + kPatience};
  }
}

bool Endpoint::complete(const Client& client) const {
  switch (speaks_) {
    case Speaks::first:
      return true;
    case Speaks::line:
      return client.question.find('\n') != std::string::npos;
    case Speaks::http:
      return client.question.find("\r\n\r\n") != std::string::npos;
  }
  return true;
}

void Endpoint::read_question(int id, Client& client) {
  std::array<char, 1024> part;
  while (!complete(client)) {
    const ssize_t size = recv(client.descriptor.get(), part.data(), part.size(), 0);
    if (size > 0 && client.question.size() < kLongestQuestion) {
      client.question.append(part.data(), static_cast<std::size_t>(size));
    } else if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    } else {
      client.descriptor.reset();
      return;
    }
  }
  client.asked = true;
  std::optional<std::string> text = handler_(id, client.question);
  if (text) {
    answer(id, std::move(*text));
  }
}

void Endpoint::answer(int id, std::string text) {
  const auto client = clients_.find(id);
  if (client != clients_.end()) {
    client->second.answer = std::move(text);
    client->second.answered = true;
    client->second.deadline = Clock::now() + kPatience;
  }
}

// True when all is written, or nobody is there to read it.
bool Endpoint::write_answer(Client& client) {
  while (!client.answer.empty()) {
    const ssize_t size = send(client.descriptor.get(), client.answer.data(), client.answer.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0) {
      return errno != EAGAIN && errno != EINTR;
    }
    client.answer.erase(0, static_cast<std::size_t>(size));
  }
  return true;
}

std::optional<Endpoint::Clock::time_point> Endpoint::next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const auto& [id, client] : clients_) {
    if ((!client.asked || client.answered) && (!next || client.deadline < *next)) {
      next = client.deadline;
    }
  }
  return next;
}

void Endpoint::finish() {
  const auto end = Clock::now() + std::chrono::seconds(1);
  while (Clock::now() < end) {
    for (auto entry = clients_.begin(); entry != clients_.end();) {
      Client& client = entry->second;
      const bool is_over = !client.answered || write_answer(client);
      if (is_over && client.answered) {
        client.descriptor.release();
      }
      entry = is_over ? clients_.erase(entry) : std::next(entry);
    }
    if (clients_.empty()) {
      return;
    }
    std::vector<pollfd> watched;
    watch(watched);
    poll(watched.data(), watched.size(), 50);
  }
}

}  // namespace forktail::server
