#include "server/master/endpoint.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include "server/os/limits.h"

namespace forktail::server {

namespace {

constexpr std::chrono::milliseconds kPause{200};

bool has_left(int client) {
  pollfd watched{client, 0, 0};
  return poll(&watched, 1, 0) > 0;
}

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

// Who waits for an answer is watched for leaving only.
void Endpoint::watch(std::vector<pollfd>& watched) const {
  if (has_room() && !look_for_spare_) {
    watched.push_back({listener_.descriptor.get(), POLLIN, 0});
  }
  for (const auto& [id, client] : clients_) {
    const short events = client.answered ? POLLOUT : client.asked ? short{0} : short{POLLIN};
    watched.push_back({client.descriptor.get(), events, 0});
  }
}

void Endpoint::attend() {
  keep_spare();
  for (auto entry = clients_.begin(); entry != clients_.end();) {
    entry = attend(entry->first, entry->second) ? std::next(entry) : clients_.erase(entry);
  }
  accept_clients();
}

bool Endpoint::attend(int id, Client& client) {
  if (!client.asked) {
    read_question(id, client);
  }
  if (client.answered && write_answer(client)) {
    // The peer sees the end only when it has read everything, also on TCP.
    shutdown(client.descriptor.get(), SHUT_WR);
    return false;
  }
  const bool waits = client.asked && !client.answered;
  return client.descriptor &&
         (waits ? !has_left(client.descriptor.get()) : Clock::now() < client.deadline);
}

bool Endpoint::has_room() const {
  return clients_.size() < limits::kMostClients ||
         std::ranges::any_of(clients_, [](const auto& entry) { return !entry.second.asked; });
}

void Endpoint::make_room() {
  if (clients_.size() >= limits::kMostClients) {
    const auto silent =
        std::ranges::find_if(clients_, [](const auto& entry) { return !entry.second.asked; });
    if (silent != clients_.end()) {
      clients_.erase(silent);
    }
  }
}

// Each is heard at once: whoever has asked already is not sent away for those who come behind.
void Endpoint::accept_clients() {
  for (std::size_t i = 0; i < limits::kMostClients && has_room() && !look_for_spare_; ++i) {
    Descriptor descriptor = accept();
    if (!descriptor) {
      return;
    }
    make_room();
    const auto place = clients_
                           .emplace(++last_id_, Client{std::move(descriptor),
                                                       Clock::now() + limits::kClientPatience})
                           .first;
    if (!attend(place->first, place->second)) {
      clients_.erase(place);
    }
  }
}

Descriptor Endpoint::accept() {
  const auto take = [this] {
    return Descriptor(
        accept4(listener_.descriptor.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  };
  Descriptor client = take();
  if (!client && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
    spare_.reset();
    client = take();
    look_for_spare_ = Clock::now() + kPause;
  }
  return client;
}

void Endpoint::keep_spare() {
  if (!spare_ && (!look_for_spare_ || *look_for_spare_ <= Clock::now())) {
    spare_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
    look_for_spare_ = spare_ ? std::nullopt : std::optional(Clock::now() + kPause);
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
    if (size > 0 && client.question.size() < limits::kLongestQuestion) {
      client.question.append(part.data(), static_cast<std::size_t>(size));
    } else if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    } else {
      client.descriptor.reset();
      return;
    }
  }
  client.asked = true;
  try {
    std::optional<std::string> text = handler_(id, client.question);
    if (text) {
      answer(id, std::move(*text));
    }
  } catch (...) {
    client.descriptor.reset();
    throw;
  }
}

void Endpoint::answer(int id, std::string text) {
  const auto client = clients_.find(id);
  if (client != clients_.end()) {
    client->second.answer = std::move(text);
    client->second.answered = true;
    client->second.deadline = Clock::now() + limits::kClientPatience;
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
  std::optional<Clock::time_point> next = look_for_spare_;
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
