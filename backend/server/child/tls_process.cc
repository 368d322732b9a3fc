#include "server/child/tls_process.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "id/generate.h"
#include "server/child/tls_relay.h"
#include "server/child/worker.h"
#include "server/dispatch/tls_queue.h"
#include "server/os/title.h"
#include "server/shared/thrown_by.h"
#include "server/shared/tls_files.h"

namespace forktail::server {

namespace {

using std::chrono::milliseconds;
using Clock = TlsRelay::Clock;
using Phase = TlsRelay::Phase;

// How often to look whether the workers' queue has room by now.
constexpr milliseconds kHandOverAgain{5};
// Deadlines are not looked at more often.
constexpr milliseconds kLookAgain{20};
constexpr milliseconds kRestFromAccepting{100};
// Steps of handshakes, the dearest thing here, between two looks at what else there is to do.
constexpr int kHandshakesATurn = 4;
constexpr int kAcceptedATurn = 64;
// Of a leaving server's: what has come in the meantime must have an end.
constexpr int kLastAccepted = 4096;
constexpr std::size_t kEventsATurn = 1024;

class TlsProcess {
 public:
  TlsProcess(const TlsDuty& duty, log::Sink& sink, const Channel& master)
      : duty_(duty),
        sink_(sink),
        master_(master),
        context_(make_tls_context(*duty.options.tls)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) {
      throw std::system_error(errno, std::generic_category(), "cannot watch connections");
    }
    watch(EPOLL_CTL_ADD, master_.descriptor(), EPOLLIN, kMaster);
    listen(true);
  }

  // Until it is told to leave, and from then on as long as there are connections.
  void run() {
    static std::array<epoll_event, kEventsATurn> events;
    while (!leaving_ || !relays_.empty()) {
      const int count = epoll_wait(epoll_.get(), events.data(), kEventsATurn, timeout());
      for (int i = 0; i < count; ++i) {
        act_on(events[static_cast<std::size_t>(i)]);
      }
      take_turns(busy_, busy_.size());
      take_turns(handshakes_, kHandshakesATurn);
      act_on_deadlines();
      tell_handed_over();
      show_figures();
    }
  }

 private:
  // What epoll reports: the master, a listener by its place, or a relay by its number, of which no
  // two are the same, and the side.
  static constexpr std::uint64_t kMaster = 0;
  static constexpr std::uint64_t kFirstRelay = 1024;

  struct Entry {
    Entry(SSL_CTX* context, Descriptor client, milliseconds patience)
        : relay(context, std::move(client), patience) {}
    TlsRelay relay;
    std::uint32_t client_watched = 0;
    std::uint32_t plain_watched = 0;
    bool queued = false;  // it is in busy_ or handshakes_
    Phase counted = Phase::handshaking;
  };
  using Entries = std::map<std::uint64_t, Entry>;

  bool watch(int operation, int descriptor, std::uint32_t events, std::uint64_t name) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = name;
    return epoll_ctl(epoll_.get(), operation, descriptor, &event) == 0;
  }

  // What is wanted by nobody is not in the list: epoll reports errors unasked, again and again.
  void watch_for(int descriptor, std::uint32_t wanted, std::uint32_t& watched, std::uint64_t name) {
    if (descriptor >= 0 && wanted != watched) {
      watch(watched == 0  ? EPOLL_CTL_ADD
            : wanted == 0 ? EPOLL_CTL_DEL
                          : EPOLL_CTL_MOD,
            descriptor, wanted, name);
      watched = wanted;
    }
  }

  void listen(bool on) {
    for (std::size_t i = 0; i < duty_.listeners.size(); ++i) {
      watch(on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, duty_.listeners[i], EPOLLIN | EPOLLEXCLUSIVE,
            i + 1);
    }
    listen_at_.reset();
  }

  // Until the next thing that happens without an event; -1: nothing does.
  [[nodiscard]] int timeout() const {
    if (!busy_.empty() || !handshakes_.empty()) {
      return 0;
    }
    std::optional<Clock::time_point> next = look_at_;
    for (const auto& at : {hand_over_at_, listen_at_}) {
      next = at && (!next || *at < *next) ? at : next;
    }
    if (!next) {
      return -1;
    }
    const auto left = std::chrono::ceil<milliseconds>(*next - Clock::now());
    return static_cast<int>(std::clamp(left, milliseconds(0), milliseconds(60'000)).count());
  }

  void act_on(const epoll_event& event) {
    const std::uint64_t name = event.data.u64;
    if (name == kMaster) {
      return hear_master();
    }
    if (name < kFirstRelay * 2) {
      return accept_some(duty_.listeners[name - 1], kAcceptedATurn);
    }
    const auto found = relays_.find(name / 2);
    if (found == relays_.end()) {
      return;
    }
    TlsRelay& relay = found->second.relay;
    name % 2 == 0 ? relay.on_client(event.events) : relay.on_plain(event.events);
    give_turn(*found);
  }

  void give_turn(Entries::value_type& one) {
    if (!std::exchange(one.second.queued, true)) {
      const bool handshake = one.second.relay.phase() == Phase::handshaking;
      (handshake ? handshakes_ : busy_).push_back(one.first);
    }
  }

  // Those that want another one wait for it behind all others.
  void take_turns(std::deque<std::uint64_t>& waiting, std::size_t most) {
    for (std::size_t i = std::min(most, waiting.size()); i > 0; --i) {
      const auto found = relays_.find(waiting.front());
      waiting.pop_front();
      if (found != relays_.end()) {
        found->second.queued = false;
        settle(found, found->second.relay.go_on());
      }
    }
  }

  // What has become of it.
  void settle(Entries::iterator at, bool again) {
    Entry& entry = at->second;
    TlsRelay& relay = entry.relay;
    if (relay.phase() == Phase::unserved && give_to_workers(relay)) {
      again = relay.go_on();
    }
    count(entry);
    if (relay.phase() == Phase::ended) {
      tell_failure(relay);
      relays_.erase(at);
      return;
    }
    watch_for(relay.client(), relay.client_events(), entry.client_watched, at->first * 2);
    if (relay.plain() < 0) {
      entry.plain_watched = 0;
    }
    watch_for(relay.plain(), relay.plain_events(), entry.plain_watched, at->first * 2 + 1);
    if (again) {
      give_turn(*at);
    }
    if (const auto deadline = relay.deadline(); deadline && (!look_at_ || *deadline < *look_at_)) {
      look_at_ = deadline;
    }
  }

  // What settle() has made of it.
  void count(Entry& entry) {
    const Phase phase = entry.relay.phase();
    if (entry.counted == Phase::handshaking && phase != Phase::handshaking) {
      --figures_.handshaking;
      figures_.handshakes += phase == Phase::ended ? 0 : 1;
    }
    figures_.waiting += phase == Phase::unserved ? 1 : 0;
    figures_.waiting -= entry.counted == Phase::unserved ? 1 : 0;
    entry.counted = phase;
  }

  void show_figures() {
    figures_.connections = relays_.size();
    duty_.board.write(figures_);
  }

  bool give_to_workers(TlsRelay& relay) {
    if (!put_connection(duty_.queue, relay.for_workers(), {leaving_, relay.subject()})) {
      hand_over_at_ = hand_over_at_.value_or(Clock::now() + kHandOverAgain);
      return false;
    }
    relay.handed_over();
    return true;
  }

  void hear_master() {
    bool ended = false;
    const std::optional<Message> message = master_.receive(ended);
    if (!ended && (!message || message->type != MessageType::leave)) {
      return;
    }
    watch(EPOLL_CTL_DEL, master_.descriptor(), 0, kMaster);
    listen(false);
    leaving_ = true;
    if (message && message->worker == 1) {
      for (const int listener : duty_.listeners) {
        accept_some(listener, kLastAccepted);  // nobody else will serve those who wait there
      }
    }
  }

  void accept_some(int listener, int most) {
    for (int i = 0; i < most; ++i) {
      Descriptor client(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (client) {
        begin(std::move(client));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        return rest_from_accepting(std::generic_category().message(errno));
      } else if (errno != ECONNABORTED && errno != EINTR) {
        return;
      }
    }
  }

  // Without a descriptor left, the listener would be ready again and again.
  void rest_from_accepting(const std::string& reason) {
    constexpr std::string_view kCure = "raise the limit of open files (LimitNOFILE, ulimit -n)";
    sink_.write(log::EventKind::accept_failed, {},
                fmt::format("cannot accept a connection: {}; {}", reason, kCure),
                {{"reason", reason}, {"cure", kCure}});
    if (!leaving_) {
      listen(false);
      listen_at_ = Clock::now() + kRestFromAccepting;
    }
  }

  void begin(Descriptor client) {
    const std::uint64_t number = next_++;
    ++figures_.handshaking;
    const auto made = relays_.try_emplace(number, context_.get(), std::move(client),
                                          duty_.options.socket_timeout);
    settle(made.first, false);  // its first bytes are an event
  }

  void tell_failure(const TlsRelay& relay) {
    if (relay.failure().empty()) {
      return;
    }
    ++figures_.failures;
    const std::optional<id::Text> made = ids_.next(id::Format::hex);
    sink_.reopen_if_moved();
    sink_.write(log::EventKind::bad_request, made ? made->view() : "",
                "bad request: " + relay.failure(),
                {{"status", std::int64_t{0}}, {"reason", relay.failure()}});
  }

  void act_on_deadlines() {
    const Clock::time_point now = Clock::now();
    if (listen_at_ && *listen_at_ <= now) {
      listen(true);
    }
    const bool look = look_at_ && *look_at_ <= now;
    if (!look && (!hand_over_at_ || now < *hand_over_at_)) {
      return;
    }
    hand_over_at_.reset();
    if (look) {
      look_at_.reset();
    }
    for (auto at = relays_.begin(); at != relays_.end();) {
      const auto here = at++;  // settle() may remove it
      TlsRelay& relay = here->second.relay;
      relay.on_deadline(now);
      if (look || relay.phase() == Phase::unserved) {
        settle(here, false);
      }
    }
    if (look_at_) {
      look_at_ = std::max(*look_at_, now + kLookAgain);
    }
  }

  // Workers that leave with the whole server stay for those that are about to become theirs.
  void tell_handed_over() {
    if (leaving_ && !told_ && std::ranges::none_of(relays_, [](const auto& entry) {
          return entry.second.relay.phase() < Phase::relaying;
        })) {
      told_ = master_.send({MessageType::handed_over, duty_.number});
    }
  }

  const TlsDuty& duty_;
  log::Sink& sink_;
  const Channel& master_;
  const TlsContext context_;
  const Descriptor epoll_;
  Entries relays_;
  std::uint64_t next_ = kFirstRelay;
  std::deque<std::uint64_t> busy_;        // relays that have something to do
  std::deque<std::uint64_t> handshakes_;  // and those of them that do not know their client yet
  TlsFigures figures_;
  bool leaving_ = false;
  bool told_ = false;
  std::optional<Clock::time_point> look_at_;       // for deadlines
  std::optional<Clock::time_point> hand_over_at_;  // when to try again
  std::optional<Clock::time_point> listen_at_;     // the same for accepting
  id::Generator ids_;
};

// The master decides what signals mean, of which a terminal sends some to the whole process group.
void leave_signals_to_master() {
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}) {
    ::signal(number, SIG_IGN);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void close_all_others(const TlsDuty& duty, const log::Sink& sink, const Channel& channel) {
  std::vector<int> keep = duty.listeners;
  for (const int one :
       {duty.queue, sink.descriptor(), channel.descriptor(), duty.options.tls->descriptor()}) {
    keep.push_back(one);
  }
  close_all_but(keep);
}

}  // namespace

void run_tls_process(const TlsDuty& duty, pid_t master, log::Sink& sink, const Channel& channel) {
  die_with_master(master);
  prctl(PR_SET_DUMPABLE, 0);  // no other process of this user may read the key out of its memory
  leave_signals_to_master();
  close_all_others(duty, sink, channel);
  sink.set_identity({0, duty.generation});
  set_title(duty.options.procname_prefix,
            fmt::format("tls {}, generation {}", duty.number, duty.generation));
  const auto thrown = thrown_by([&] {
    TlsProcess process(duty, sink, channel);
    channel.send({MessageType::ready, duty.number});
    process.run();
  });
  if (thrown) {
    channel.send({MessageType::start_failed, duty.number, *thrown});
  }
  std::fflush(nullptr);
  _exit(thrown ? 1 : 0);
}

}  // namespace forktail::server
