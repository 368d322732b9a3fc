#include "server/generation/template_process.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "server/os/fork_error.h"

namespace forktail::server {

std::optional<Channel> Template::start() {
  Channel ours;
  Channel theirs;
  std::tie(ours, theirs) = Channel::make();
  std::fflush(nullptr);  // what is unwritten would be written twice
  const pid_t pid = fork();
  if (pid < 0) {
    throw std::runtime_error("cannot fork the template: " + fork_error(errno));
  }
  if (pid == 0) {
    return theirs;
  }
  adopt(pid, std::move(ours));
  return std::nullopt;
}

void Template::adopt(pid_t pid, Channel channel) {
  pid_ = pid;
  channel_ = std::move(channel);
  loaded_ = false;
  started_ = Clock::now();
  start_at_.reset();
}

std::vector<Message> Template::read_messages() {
  std::vector<Message> messages;
  // One that writes faster than this reads must not hold the loop.
  constexpr int kMost = 1024;
  bool ended = channel_.descriptor() < 0;
  for (int i = 0; i < kMost && !ended; ++i) {
    std::optional<Message> message = channel_.receive(ended);
    if (!message) {
      break;
    }
    messages.push_back(std::move(*message));
  }
  if (ended) {
    channel_.close();
  }
  return messages;
}

bool Template::spawn(int worker, Channel channel) {
  return channel_.send({MessageType::spawn, worker, {}, channel.release()});
}

std::chrono::milliseconds Template::ended() {
  pid_ = 0;
  channel_.close();
  loaded_ = false;
  return backoff_.after_death(Clock::now() - started_);
}

void Template::let_go() {
  channel_.stop_sending();
  start_at_.reset();
  if (loading()) {
    kill();
  }
}

void Template::kill() const {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
  }
}

void Template::kill_late() {
  kill();
  started_ = Clock::now();
}

}  // namespace forktail::server
