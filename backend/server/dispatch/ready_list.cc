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

#include "server/dispatch/orders.h"
#include "server/os/limits.h"
#include "server/os/require.h"

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kListener = std::uint64_t{1} << 63;

// The application of some worker may have made it wait.
void never_wait_for(int listener) { fcntl(listener, F_SETFL, O_RDWR | O_NONBLOCK); }

// Where the application has closed 0, 1 or 2, what it prints there would go to the client.
int above_standard(int accepted) {
  if (accepted < 0 || accepted > STDERR_FILENO) {
    return accepted;
  }
  const int moved = fcntl(accepted, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close(accepted);
  open_standard();
  return moved;
}

bool out_of_descriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

std::vector<bool> which_are_tls_queues(const std::vector<int>& listeners) {
  std::vector<bool> which;
  which.reserve(listeners.size());
  for (const int listener : listeners) {
    which.push_back(is_tls_queue(listener));
  }
  return which;
}

}  // namespace

std::uint64_t event_of_listener(std::size_t index) { return kListener | index; }

std::uint64_t event_of_kept(KeptId id) {
  return std::uint64_t{id.version & 0x7fffffff} << 32 | id.slot;
}

bool watch(int epoll, int operation, int descriptor, std::uint64_t event) {
  epoll_event watched{};
  const bool listener = (event & kListener) != 0;
  watched.events = EPOLLIN | (listener ? EPOLLET : EPOLLONESHOT);
  watched.data.u64 = event;
  return epoll_ctl(epoll, operation, descriptor, &watched) == 0;
}

std::uint32_t ReadyList::owner(int seat, int thread) {
  return static_cast<std::uint32_t>(seat) * limits::kThreadsPerSeat +
         static_cast<std::uint32_t>(thread);
}

int ReadyList::seat_of(std::uint32_t owner) {
  return static_cast<int>(owner / limits::kThreadsPerSeat);
}

int ReadyList::thread_of(std::uint32_t owner) {
  return static_cast<int>(owner % limits::kThreadsPerSeat);
}

ReadyList::ReadyList(DispatchShare& share, int seat, milliseconds keepalive, milliseconds silence,
                     log::Sink& sink)
    : share_(share),
      seat_(seat),
      keepalive_(keepalive),
      silence_(silence),
      sink_(sink),
      tls_queues_(which_are_tls_queues(share.listeners)),
      installed_(static_cast<std::size_t>(share.kept.capacity())) {}

Claim ReadyList::next(int thread, BusyPoll& poll, SharedFlag& asleep) {
  if (Claim claim = next_at_hand()) {
    return claim;
  }
  for (;;) {
    epoll_event event{};
    const int ready = orders::wait(share_.epoll.get(), event, poll, asleep);
    if (ready <= 0) {
      lost_ = lost_ || ready < 0;
      return {};
    }
    if (Claim claim = take(event.data.u64, thread)) {
      return claim;
    }
  }
}

Claim ReadyList::next_within(int thread, milliseconds patience) {
  if (Claim claim = next_at_hand()) {
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
    never_wait_for(share_.listeners[i]);
    do {
      if (Claim claim = accept_from(i)) {
        return claim;
      }
    } while (errno == ECONNABORTED || errno == EINTR);
  }
  return {};
}

// Another process of the generation can have put anything into the instance.
Claim ReadyList::take(std::uint64_t event, int thread) {
  if ((event & kListener) != 0) {
    const std::uint64_t listener = event & ~kListener;
    return listener < share_.listeners.size() ? accept_next(listener, thread) : Claim{};
  }
  const auto slot = static_cast<std::uint32_t>(event);
  if (slot >= installed_.size()) {
    return {};
  }
  const KeptId now = share_.kept.current(slot);
  return event == event_of_kept(now) ? claim_kept(now, thread) : Claim{};
}

Claim ReadyList::accept_from(std::size_t listener) const {
  const int from = share_.listeners[listener];
  if (!tls_queues_[listener]) {
    return {above_standard(accept4(from, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK))};
  }
  Claim claim;
  claim.descriptor = take_connection(from, claim.peer).release();
  return claim;
}

// A listener reports arrivals, not what waits: whoever leaves something has it reported again. One
// that is stopped or killed in between keeps back what has come, until the next arrival.
Claim ReadyList::accept_next(std::size_t listener, int thread) {
  Claim first = accept_from(listener);
  const int error = errno;
  if (!first && (error == EAGAIN || error == EINVAL)) {  // nothing, or it was shut down
    return {};
  }
  if (first && share_.kept.peers_keep()) {
    publish_all_queued(listener, thread);
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

// Kept connections come back to the ready list again and again; those in the listen queue would get
// one turn for each turn of all of them, and starve. What can not be published stays in the queue,
// where any idle worker finds it.
void ReadyList::publish_all_queued(std::size_t listener, int thread) {
  never_wait_for(share_.listeners[listener]);
  while (share_.mailboxes.master_has_room()) {
    const std::optional<KeptId> place = share_.kept.allocate(owner(seat_, thread));
    if (!place) {
      return;
    }
    Claim another = accept_from(listener);
    if (!another) {
      return share_.kept.free(*place);
    }
    if (!publish_at(*place, another)) {  // others have filled the mailbox in this very moment
      const std::lock_guard<std::mutex> lock(mutex_);
      at_hand_.push_back(another);
      return;
    }
    keep(another, true);
  }
}

Claim ReadyList::next_at_hand() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (at_hand_.empty()) {
    return {};
  }
  Claim claim = at_hand_.back();
  at_hand_.pop_back();
  return claim;
}

// An event is given to one thread only, but there can be two of them: one that a dying worker may
// not have acted on is armed again. Whoever has the connection now arms it when it gives it back.
Claim ReadyList::claim_kept(KeptId id, int thread) {
  constexpr std::uint32_t kStale = 64;
  if (share_.kept.closed() - swept_.load(std::memory_order_relaxed) >= kStale) {
    read_mail();
  }
  if (!share_.kept.claim(id, owner(seat_, thread))) {
    return {};
  }
  require(share_.kept.sound(id), "a kept connection that nobody has made");
  if (!fetch(id)) {
    sink_.write(log::EventKind::connection_lost, {},
                fmt::format("connection {} was announced but never came; closing it", id.slot),
                {{"slot", std::int64_t{id.slot}}});
    static_cast<void>(share_.mailboxes.post(0, {MailKind::abandoned, id}));
    return {};
  }
  return {share_.kept.descriptor(id.slot), id, true, share_.kept.peer(id)};
}

// What is announced is at the master's, if not in this worker's mailbox.
bool ReadyList::fetch(KeptId id) {
  constexpr milliseconds kPatience{5000};  // a master that is stopped for a moment
  constexpr milliseconds kAskAgain{100};
  if (has(id)) {
    return true;
  }
  const Clock::time_point end = Clock::now() + kPatience;
  for (Clock::time_point ask = Clock::now();;) {
    take_mail();
    const Clock::time_point now = Clock::now();
    if (has(id) || now >= end) {
      return has(id);
    }
    if (now >= ask && share_.mailboxes.post(0, {MailKind::wanted, id, seat_})) {
      ask = now + kAskAgain;
    }
    pollfd mail{share_.mailboxes.incoming(seat_), POLLIN, 0};
    poll(&mail, 1, 10);
  }
}

void ReadyList::take_mail() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Mail mail;
  Mailboxes::Taken taken{};
  while ((taken = share_.mailboxes.take(seat_, mail)) == Mailboxes::Taken::letter) {
    install(mail);
  }
  require(taken != Mailboxes::Taken::nonsense, "a letter that no process of the server sends");
}

void ReadyList::install(Mail& mail) {
  const KeptId id = mail.id;
  if (mail.kind == MailKind::opened && id.slot < installed_.size() && share_.kept.is_current(id) &&
      !has(id) && dup3(mail.descriptor.get(), share_.kept.descriptor(id.slot), O_CLOEXEC) >= 0) {
    installed_[id.slot] = id.version;
  }
  mail.descriptor.reset();
}

void ReadyList::read_mail() {
  swept_ = share_.kept.closed();
  take_mail();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (installed_[slot] != 0 && !share_.kept.is_current({slot, installed_[slot]})) {
      let_go({slot, installed_[slot]});
    }
  }
}

// This process's duplicate.
void ReadyList::let_go(KeptId id) {
  installed_[id.slot] = 0;
  vacate(share_.kept.numbers(), share_.kept.descriptor(id.slot));
}

bool ReadyList::publish(Claim& claim, int thread) {
  if (claim.kept) {
    return true;
  }
  const std::optional<KeptId> id = share_.kept.allocate(owner(seat_, thread));
  return id && publish_at(*id, claim);
}

// Frees the place when it can not.
bool ReadyList::publish_at(KeptId id, Claim& claim) {
  const int number = share_.kept.descriptor(id.slot);
  if (claim.peer.is_known()) {
    share_.kept.set_peer(id, claim.peer);
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (dup3(claim.descriptor, number, O_CLOEXEC) < 0) {
      share_.kept.free(id);
      return false;
    }
    installed_[id.slot] = id.version;
  }
  // To the master first: it must know whatever any other knows, to mend what a dying worker leaves.
  const Mail mail{MailKind::opened, id};
  if (!share_.mailboxes.post(0, mail, number)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    let_go(id);
    share_.kept.free(id);
    return false;
  }
  pass_on(mail, number);
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

// So that they need not ask. One whose mailbox is full will.
void ReadyList::pass_on(const Mail& mail, int descriptor) const {
  for (int seat = 1; seat <= share_.mailboxes.seats(); ++seat) {
    if (seat != seat_ && share_.kept.occupied(seat)) {
      static_cast<void>(share_.mailboxes.post(seat, mail, descriptor));
    }
  }
}

void ReadyList::keep(Claim& claim, bool fresh) {
  const KeptId id = *claim.kept;
  require(share_.kept.sound(id) && share_.kept.is_current(id) &&
              seat_of(share_.kept.holder(id.slot)) == seat_,
          "a kept connection that is given back by another than its owner");
  const auto deadline = Clock::now() + (fresh ? silence_ : keepalive_);
  share_.kept.release(id, deadline.time_since_epoch() / std::chrono::nanoseconds(1), fresh);
  // From here on it may be anybody's.
  const int epoll = share_.epoll.get();
  if (!claim.watched || !watch(epoll, EPOLL_CTL_MOD, claim.descriptor, event_of_kept(id))) {
    watch(epoll, EPOLL_CTL_ADD, claim.descriptor, event_of_kept(id));
  }
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
  // Others may have duplicates, which a close would leave open: workers, or a child of the
  // application's.
  shutdown(claim.descriptor, SHUT_RDWR);
  if (!claim.kept) {
    close(claim.descriptor);
  } else {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      let_go(*claim.kept);
    }
    share_.kept.free(*claim.kept);
    static_cast<void>(share_.mailboxes.post(0, {MailKind::closed, *claim.kept}));
  }
  claim = {};
}

void ask_to_close(int descriptor) {
  constexpr std::string_view kEmptyLine = "\r\n";
  send(descriptor, kEmptyLine.data(), kEmptyLine.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void ReadyList::give_back_idle(int thread) {
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (!has(id) || !share_.kept.claim(id, owner(seat_, thread))) {
      continue;
    }
    const bool fresh = share_.kept.fresh(slot);  // who has had no answer yet expects one
    if (!fresh && share_.kept.mark_given_back(id)) {
      ask_to_close(share_.kept.descriptor(slot));
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
      Claim claim{share_.kept.descriptor(slot), id, true};
      if (has(id)) {
        drop(claim);
      } else {
        static_cast<void>(share_.mailboxes.post(0, {MailKind::abandoned, id}));
      }
    }
  }
}

}  // namespace forktail::server
