// An open-loop client: requests begin when they are due, however many are still on their way, as
// those of strangers do.
//
//   dispatch_load PORT RATE SECONDS
//
// 5 % are GET /sleep/20, the others GET /. Prints, in milliseconds from the moment that a request
// was due, the fast ones' p50, p90 and p99, and then how many requests there were and how many
// failed.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::string_view kFast = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
constexpr std::string_view kSlow = "GET /sleep/20 HTTP/1.1\r\nHost: bench\r\n\r\n";
constexpr std::string_view kGood = "HTTP/1.1 200 ";
constexpr std::string_view kEnd = "\r\n\r\nhello\n";

struct Connection {
  int descriptor = -1;
  bool fast = false;
  Clock::time_point due;
  std::string received;
};

class Load {
 public:
  Load(std::uint16_t port, double rate, double seconds)
      : port_(port),
        between_(rate),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds))) {}

  void run() {
    next_due_ = Clock::now();
    arm();
    while (next_due_ < end_ || in_flight_ > 0) {
      std::array<epoll_event, 64> events;
      const int count = epoll_wait(epoll_, events.data(), events.size(), 5000);
      if (count == 0) {  // nobody answers any more
        failed_ += in_flight_;
        return;
      }
      for (int i = 0; i < count; ++i) {
        if (events[static_cast<std::size_t>(i)].data.ptr != nullptr) {
          receive(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
        }
      }
      begin_due();
    }
  }

  void report() {
    std::sort(fast_ms_.begin(), fast_ms_.end());
    const auto at = [&](double part) {
      const auto index = static_cast<std::size_t>(part * static_cast<double>(fast_ms_.size()));
      return fast_ms_.empty() ? 0.0 : fast_ms_[std::min(index, fast_ms_.size() - 1)];
    };
    std::printf("%.3f %.3f %.3f %d %d\n", at(0.5), at(0.9), at(0.99), begun_, failed_);
  }

 private:
  void arm() {
    const auto at = next_due_.time_since_epoch() / std::chrono::nanoseconds(1);
    const itimerspec when{{}, {at / 1'000'000'000, at % 1'000'000'000}};
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void begin_due() {
    const Clock::time_point now = Clock::now();
    while (next_due_ <= now && next_due_ < end_) {
      begin(next_due_);
      next_due_ += std::chrono::duration_cast<Clock::duration>(Seconds(between_(random_)));
    }
    arm();
  }

  void begin(Clock::time_point due) {
    if (idle_.empty()) {
      connect_another();
    }
    Connection& connection = *idle_.back();
    idle_.pop_back();
    connection.fast = random_() % 20 != 0;
    connection.due = due;
    connection.received.clear();
    const std::string_view request = connection.fast ? kFast : kSlow;
    ++begun_;
    ++in_flight_;
    if (send(connection.descriptor, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
      finish(connection, false);
    }
  }

  void connect_another() {
    all_.push_back(std::make_unique<Connection>());
    Connection& connection = *all_.back();
    connection.descriptor = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(connection.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) !=
        0) {
      std::perror("connect");
      std::exit(1);
    }
    const int on = 1;
    setsockopt(connection.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(connection.descriptor, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.descriptor, &event);
    idle_.push_back(&connection);
  }

  void receive(Connection& connection) {
    std::array<char, 4096> part;
    const ssize_t size = recv(connection.descriptor, part.data(), part.size(), 0);
    if (size <= 0) {
      finish(connection, false);
      return;
    }
    connection.received.append(part.data(), static_cast<std::size_t>(size));
    if (!connection.received.starts_with(kGood.substr(0, connection.received.size()))) {
      finish(connection, false);
    } else if (connection.received.ends_with(kEnd)) {
      finish(connection, true);
    }
  }

  void finish(Connection& connection, bool good) {
    --in_flight_;
    if (!good) {
      ++failed_;
      close(connection.descriptor);
      return;
    }
    if (connection.fast) {
      fast_ms_.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - connection.due).count());
    }
    idle_.push_back(&connection);
  }

  const std::uint16_t port_;
  std::mt19937 random_{1};
  std::exponential_distribution<double> between_;
  const Clock::time_point end_;
  const int epoll_ = epoll_create1(0);
  const int timer_ = [this] {
    const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, timer, &event);
    return timer;
  }();
  Clock::time_point next_due_;
  std::vector<std::unique_ptr<Connection>> all_;
  std::vector<Connection*> idle_;
  std::vector<double> fast_ms_;
  int begun_ = 0;
  int in_flight_ = 0;
  int failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: dispatch_load PORT RATE SECONDS\n", stderr);
    return 2;
  }
  Load load(static_cast<std::uint16_t>(std::atoi(argv[1])), std::atof(argv[2]), std::atof(argv[3]));
  load.run();
  load.report();
}
