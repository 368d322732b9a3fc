#include "server/dispatch/ready_list.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>
#include <thread>

#include "server/dispatch/worker_signals.h"

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kListener = std::uint64_t{1} << 63;
constexpr std::uint32_t kThreadsPerSeat = 1024;

bool out_of_descriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

}  // namespace

std::uint64_t event_of_listener(std::size_t index) { return kListener | index; }

std::uint64_t event_of_kept(KeptId id) {
  return std::uint64_t{id.version & 0x7fffffff} << 32 | id.slot;
}

bool watch(int epoll, int operation, int descriptor, std::uint64_t event) {
  epoll_event watched{};
  watched.events = EPOLLIN | EPOLLONESHOT;
  watched.data.u64 = event;
  return epoll_ctl(epoll, operation, descriptor, &watched) == 0;
}

std::uint32_t ReadyList::owner(int seat, int thread) {
  return static_cast<std::uint32_t>(seat) * kThreadsPerSeat + static_cast<std::uint32_t>(thread);
}

int ReadyList::seat_of(std::uint32_t owner) { return static_cast<int>(owner / kThreadsPerSeat); }

int ReadyList::thread_of(std::uint32_t owner) { return static_cast<int>(owner % kThreadsPerSeat); }

ReadyList::ReadyList(DispatchShare& share, int seat, milliseconds keepalive, milliseconds silence,
                     log::Sink& sink)
    : share_(share),
      seat_(seat),
      keepalive_(keepalive),
      silence_(silence),
      sink_(sink),
      installed_(static_cast<std::size_t>(share.kept.capacity())) {}

Claim ReadyList::next(int thread, BusyPoll& poll) {
  if (const Claim claim = next_at_hand()) {
    return claim;
  }
  for (;;) {
    epoll_event event{};
    if (worker_signals::wait(share_.epoll.get(), event, poll) <= 0) {
      return {};
    }
    if (const Claim claim = take(event.data.u64, thread)) {
      return claim;
    }
  }
}

Claim ReadyList::next_within(int thread, milliseconds patience) {
  if (const Claim claim = next_at_hand()) {
    return claim;
  }
  epoll_event event{};
  const int got = epoll_wait(share_.epoll.get(), &event, 1, static_cast<int>(patience.count()));
  return got > 0 ? take(event.data.u64, thread) : Claim{};
}

// Past the epoll instance: a listener that was shut down is always ready in it, empty or not, and
// would hide the others.
Claim ReadyList::next_queued() {
  for (std::size_t i = 0; i < share_.listeners.size(); ++i) {
    do {
      if (const Claim claim = accept_from(i)) {
        return claim;
      }
    } while (errno == ECONNABORTED || errno == EINTR);
  }
  return {};
}

Claim ReadyList::take(std::uint64_t event, int thread) {
  if ((event & kListener) != 0) {
    return accept_next(event & ~kListener, thread);
  }
  const auto slot = static_cast<std::uint32_t>(event);
  const KeptId now = share_.kept.current(slot);
  return event == event_of_kept(now) ? claim_kept(now, thread) : Claim{};
}

Claim ReadyList::accept_from(std::size_t listener) const {
  return {accept4(share_.listeners[listener], nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
}

Claim ReadyList::accept_next(std::size_t listener, int thread) {
  const Claim first = accept_from(listener);
  const int error = errno;
  // Kept connections come back to the ready list again and again; those in the listen queue would
  // get one turn for each turn of all of them, and starve.
  while (first && share_.kept.peers_keep()) {
    Claim another = accept_from(listener);
    if (!another) {
      break;
    }
    if (!publish(another, thread)) {
      const std::lock_guard<std::mutex> lock(mutex_);
      at_hand_.push_back(another);
      break;
    }
    keep(another, true);
  }
  watch(share_.epoll.get(), EPOLL_CTL_MOD, share_.listeners[listener], event_of_listener(listener));
  if (!first && out_of_descriptors(error)) {
    constexpr std::string_view kCure = "raise the limit of open files (LimitNOFILE, ulimit -n)";
    const std::string reason = std::generic_category().message(error);
    sink_.write(log::EventKind::accept_failed, {},
                fmt::format("cannot accept a connection: {}; {}", reason, kCure),
                {{"reason", reason}, {"cure", kCure}});
    std::this_thread::sleep_for(milliseconds(100));  // others may have descriptors left
  }
  return first;
}

Claim ReadyList::next_at_hand() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (at_hand_.empty()) {
    return {};
  }
  const Claim claim = at_hand_.back();
  at_hand_.pop_back();
  return claim;
}

// An event is given to one thread only, but there can be two of them: one that a dying worker may
// not have acted on is armed again. Whoever has the connection now arms it when it gives it back.
Claim ReadyList::claim_kept(KeptId id, int thread) {
  if (!share_.kept.claim(id, owner(seat_, thread))) {
    return {};
  }
  if (!has(id)) {
    sink_.write(log::EventKind::connection_lost, {},
                fmt::format("connection {} was announced but never came; closing it", id.slot),
                {{"slot", std::int64_t{id.slot}}});
    static_cast<void>(share_.mailboxes.post(0, {MailKind::abandoned, id}));
    return {};
  }
  return {share_.kept.descriptor(id.slot), id, true, true};
}

// Mail is posted before a connection is watched, so it is there; only a worker that has just joined
// may have to wait for the master to forward it.
bool ReadyList::has(KeptId id) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (installed_[id.slot] == id.version) {
      return true;
    }
    if (attempt > 0) {
      pollfd mail{share_.mailboxes.incoming(seat_), POLLIN, 0};
      poll(&mail, 1, 10);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    Mail mail;
    while (share_.mailboxes.take(seat_, mail)) {
      install(mail);
    }
  }
  return false;
}

void ReadyList::install(Mail& mail) {
  const KeptId id = mail.id;
  if (mail.kind == MailKind::opened && share_.kept.is_current(id) &&
      installed_[id.slot] != id.version &&
      dup3(mail.descriptor.get(), share_.kept.descriptor(id.slot), O_CLOEXEC) >= 0) {
    installed_[id.slot] = id.version;
  }
  mail.descriptor.reset();
}

void ReadyList::read_mail() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Mail mail;
  while (share_.mailboxes.take(seat_, mail)) {
    install(mail);
  }
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (installed_[slot] != 0 && !share_.kept.is_current({slot, installed_[slot]})) {
      installed_[slot] = 0;
      close(share_.kept.descriptor(slot));
    }
  }
}

bool ReadyList::publish(Claim& claim, int thread) {
  if (claim.kept) {
    return true;
  }
  const std::optional<KeptId> id = share_.kept.allocate(owner(seat_, thread));
  if (!id) {
    return false;
  }
  const int number = share_.kept.descriptor(id->slot);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (dup3(claim.descriptor, number, O_CLOEXEC) < 0) {
      share_.kept.free(*id);
      return false;
    }
    installed_[id->slot] = id->version;
  }
  claim.passed = true;
  Mail mail{MailKind::opened, *id, share_.kept.membership()};
  if (!pass_on(mail, number)) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      installed_[id->slot] = 0;
      close(number);
    }
    static_cast<void>(share_.mailboxes.post(0, {MailKind::closed, *id}));
    share_.kept.free(*id);
    return false;
  }
  close(claim.descriptor);
  claim.descriptor = number;
  claim.kept = id;
  return true;
}

bool ReadyList::offer(Claim& claim, int thread) {
  if (!publish(claim, thread)) {
    return false;
  }
  share_.kept.mark_read(*claim.kept);
  return true;
}

// To the master first: it must know whatever any other knows, to mend what a dying worker leaves.
bool ReadyList::pass_on(const Mail& mail, int descriptor) const {
  if (!share_.mailboxes.post(0, mail, descriptor)) {
    return false;
  }
  for (int seat = 1; seat <= share_.mailboxes.seats(); ++seat) {
    if (seat != seat_ && share_.kept.occupied(seat) &&
        !share_.mailboxes.post(seat, mail, descriptor)) {
      const KeptId which{static_cast<std::uint32_t>(seat), 0};
      static_cast<void>(share_.mailboxes.post(0, {MailKind::full, which}));
      return false;
    }
  }
  return true;
}

void ReadyList::keep(Claim& claim, bool fresh) {
  const KeptId id = *claim.kept;
  const auto deadline = Clock::now() + (fresh ? silence_ : keepalive_);
  share_.kept.release(id, deadline.time_since_epoch() / std::chrono::nanoseconds(1), fresh);
  // From here on it may be anybody's.
  watch(share_.epoll.get(), claim.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, claim.descriptor,
        event_of_kept(id));
  claim = {};
}

bool ReadyList::put_back(Claim& claim, int thread) {
  const bool fresh = !claim.kept || share_.kept.fresh(claim.kept->slot);
  if (!publish(claim, thread)) {
    return false;
  }
  keep(claim, fresh);
  return true;
}

void ReadyList::drop(Claim& claim) {
  if (claim.watched) {
    epoll_ctl(share_.epoll.get(), EPOLL_CTL_DEL, claim.descriptor, nullptr);
  }
  if (claim.passed) {
    shutdown(claim.descriptor,
             SHUT_RDWR);  // others have duplicates, which a close would leave open
  }
  if (!claim.kept) {
    close(claim.descriptor);
  } else {
    installed_[claim.kept->slot] = 0;
    close(claim.descriptor);
    static_cast<void>(share_.mailboxes.post(0, {MailKind::closed, *claim.kept}));
    share_.kept.free(*claim.kept);
  }
  claim = {};
}

void ReadyList::give_back_idle(int thread) {
  constexpr std::string_view kEmptyLine = "\r\n";
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (!share_.kept.claim(id, owner(seat_, thread))) {
      continue;
    }
    const bool fresh = share_.kept.fresh(slot);  // who has had no answer yet expects one
    if (!fresh && has(id) && share_.kept.mark_given_back(id)) {
      send(share_.kept.descriptor(slot), kEmptyLine.data(), kEmptyLine.size(),
           MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    share_.kept.release(id, share_.kept.deadline_ns(slot), fresh);
    // Who got its event in between found it claimed.
    watch(share_.epoll.get(), EPOLL_CTL_MOD, share_.kept.descriptor(slot), event_of_kept(id));
  }
}

bool ReadyList::any_idle() const {
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (share_.kept.holder(slot) == KeptTable::kIdle) {
      return true;
    }
  }
  return false;
}

void ReadyList::drop_idle(int thread) {
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (share_.kept.claim(id, owner(seat_, thread))) {
      Claim claim{share_.kept.descriptor(slot), id, true, true};
      has(id) ? drop(claim) : share_.kept.free(id);
    }
  }
}

}  // namespace forktail::server
