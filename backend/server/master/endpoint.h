// A listening socket of the master's own (control, stats, stats-http) and its few clients, all
// without ever waiting for one of them.
//
// Belongs to the master's loop. A client sends one line, or one HTTP request, or nothing; it gets
// one answer and the connection ends. It has five seconds to ask and five to read; when there are
// too many, those have to go first that have said nothing for the longest time.
#pragma once

#include <poll.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/os/descriptor.h"
#include "server/shared/listeners.h"

namespace forktail::server {

class Endpoint {
 public:
  using Clock = std::chrono::steady_clock;

  enum class Speaks {
    first,  // gets the answer at once, without a question (uWSGI's stats server)
    line,   // asks one line
    http,   // asks one HTTP request
  };

  // Called with the question; returns the answer, or nothing when it is to come later, by answer().
  using Handler =
      std::function<std::optional<std::string>(int client, const std::string& question)>;

  // Listens on `address`; the file of a unix socket has `mode`, if one is given. If the socket is
  // one of `handed_over`, it is taken from there. Throws std::runtime_error naming it.
  Endpoint(const std::string& address, Speaks speaks, std::optional<mode_t> mode,
           std::vector<Listener>& handed_over, Handler handler);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  [[nodiscard]] Listener& listener() { return listener_; }
  // Another master answers those who come from now on.
  void disown();

  void watch(std::vector<pollfd>& watched) const;
  void attend();
  void answer(int client, std::string text);
  // False when it has left, or was sent away.
  [[nodiscard]] bool has(int client) const { return clients_.contains(client); }
  void send_away(int client) { clients_.erase(client); }
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // Writes what is still unwritten, for at most a second: before the master ends. The peer sees the
  // end of its answer when this process has ended, and its sockets and its pidfile are gone.
  void finish();

 private:
  struct Client {
    Descriptor descriptor;
    Clock::time_point deadline;
    std::string question = {};
    std::string answer = {};
    bool asked = false;
    bool answered = false;
  };

  using Clients = std::map<int, Client>;

  [[nodiscard]] bool has_room() const;
  void make_room();
  void accept_clients();
  [[nodiscard]] Descriptor accept();
  void keep_spare();
  // False when the client is to go.
  bool attend(int id, Client& client);
  void read_question(int id, Client& client);
  bool write_answer(Client& client);
  [[nodiscard]] bool complete(const Client& client) const;

  Listener listener_;
  Speaks speaks_;
  Handler handler_;
  Clients clients_;  // in the order of their arrival
  int last_id_ = 0;
  // Let go when there is no other, so that somebody can still ask; accepted is the next one when it
  // is there again.
  Descriptor spare_;
  std::optional<Clock::time_point> look_for_spare_;
};

}  // namespace forktail::server
