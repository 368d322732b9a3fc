#include "server/dispatch/kept_connections.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/os/limits.h"

namespace forktail::server {

namespace {

// The master as an owner: below any worker's number.
constexpr std::uint32_t kMaster = KeptTable::kFirstOwner;

std::int64_t now_ns() {
  return KeptConnections::Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// What the processes inherit must stand below the range.
DispatchShare make_share(std::vector<int> listeners, KeptNumbers numbers, int seats,
                         log::Sink& sink) {
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) {
    throw std::system_error(errno, std::generic_category(), "cannot make the ready list");
  }
  Mailboxes mailboxes(seats);
  if (numbers.count > 0 && std::ranges::max(mailboxes.descriptors()) >= numbers.base) {
    sink.write(log::EventKind::keepalive_off, {},
               "this generation keeps no connections: it has more workers than the server was "
               "started for; restart it",
               {{"reason", "more workers than at the start"}});
    numbers.count = 0;
  }
  return {std::move(epoll), std::move(listeners), KeptTable(numbers, seats), std::move(mailboxes)};
}

bool has_input(int descriptor) {
  pollfd watched{descriptor, POLLIN, 0};
  return poll(&watched, 1, 0) > 0;
}

}  // namespace

KeptConnections::KeptConnections(std::vector<int> listeners, KeptNumbers numbers, int seats,
                                 log::Sink& sink)
    : sink_(sink),
      share_(make_share(std::move(listeners), numbers, seats, sink)),
      held_(static_cast<std::size_t>(share_.kept.capacity())),
      occupied_(static_cast<std::size_t>(seats) + 1) {
  for (std::size_t i = 0; i < share_.listeners.size(); ++i) {
    if (!watch(share_.epoll.get(), EPOLL_CTL_ADD, share_.listeners[i], event_of_listener(i))) {
      throw std::system_error(errno, std::generic_category(), "cannot watch a listening socket");
    }
  }
}

// It asks for what it needs. What its predecessor has not read is of no use to it.
void KeptConnections::admit(int seat) {
  Mail stale;
  for (int i = 0; i < limits::kMostStaleMail &&
                  share_.mailboxes.take(seat, stale) != Mailboxes::Taken::nothing;
       ++i) {
    stale.descriptor.reset();
  }
  share_.kept.restore_board();
  occupied_[static_cast<std::size_t>(seat)] = true;
  restore_occupied();
}

void KeptConnections::dismiss(int seat) {
  occupied_[static_cast<std::size_t>(seat)] = false;
  const std::vector<KeptId> unknown = idle_and_unknown();
  read_mail();
  for (std::uint32_t slot = 0; slot < held_.size(); ++slot) {
    if (held_by(seat, slot) || held_by_nobody(slot)) {
      end(share_.kept.current(slot));
    }
  }
  for (const KeptId id : unknown) {  // and it was in no letter
    if (share_.kept.holder(id.slot) == KeptTable::kIdle && share_.kept.is_current(id) && !has(id)) {
      share_.kept.free(id);
    }
  }
  restore_occupied();
  sweep_at_ = sweep_at_.value_or(Clock::now() + std::chrono::seconds(1));  // of its last words
  rearm();
}

// Whoever wrote over the table has left it so.
bool KeptConnections::held_by_nobody(std::uint32_t slot) const {
  const std::uint32_t holder = share_.kept.holder(slot);
  const int seat = ReadyList::seat_of(holder);
  return holder >= KeptTable::kFirstOwner &&
         (seat > share_.kept.seats() || !occupied_[static_cast<std::size_t>(seat)]);
}

// Who publishes a connection writes to the master first.
std::vector<KeptId> KeptConnections::idle_and_unknown() const {
  std::vector<KeptId> all;
  for (std::uint32_t slot = 0; slot < held_.size() && !told_of_no_room_; ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (share_.kept.holder(slot) == KeptTable::kIdle && !has(id)) {
      all.push_back(id);
    }
  }
  return all;
}

void KeptConnections::restore_occupied() {
  for (std::size_t seat = 1; seat < occupied_.size(); ++seat) {
    share_.kept.set_occupied(static_cast<int>(seat), occupied_[seat]);
  }
}

bool KeptConnections::held_by(int seat, std::uint32_t slot) const {
  const std::uint32_t holder = share_.kept.holder(slot);
  return holder >= KeptTable::kFirstOwner && ReadyList::seat_of(holder) == seat;
}

std::vector<bool> KeptConnections::resume(
    int seat, int threads, Clock::time_point deadline,
    const std::function<bool(int thread, bool waiting)>& resumable) {
  std::vector<bool> resumed(static_cast<std::size_t>(threads));
  read_mail();
  for (std::uint32_t slot = 0; slot < held_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    const int thread = ReadyList::thread_of(share_.kept.holder(slot));
    if (!held_by(seat, slot) || !has(id) || !share_.kept.sound(id) || thread >= threads) {
      continue;
    }
    if (resumable(thread, has_input(held_[slot].descriptor.get()))) {
      share_.kept.release(id, deadline.time_since_epoch() / std::chrono::nanoseconds(1),
                          share_.kept.fresh(slot));
      resumed[static_cast<std::size_t>(thread)] = true;
    }
  }
  rearm();
  return resumed;
}

// A worker may have died between an event and arming its source again.
void KeptConnections::rearm() {
  for (std::size_t i = 0; i < share_.listeners.size(); ++i) {
    watch(share_.epoll.get(), EPOLL_CTL_MOD, share_.listeners[i], event_of_listener(i));
  }
  for (std::uint32_t slot = 0; slot < held_.size(); ++slot) {
    if (share_.kept.holder(slot) == KeptTable::kIdle && has(share_.kept.current(slot))) {
      watch_again(slot);
    }
  }
}

// Under this process's own number, beside the workers': epoll knows both. When something comes, two
// workers may hear of it, of whom one claims it.
void KeptConnections::watch_again(std::uint32_t slot) {
  Held& held = held_[slot];
  const KeptId id{slot, held.version};
  const int operation = held.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  held.watched = watch(share_.epoll.get(), operation, held.descriptor.get(), event_of_kept(id)) ||
                 held.watched;
}

void KeptConnections::stop_accepting() {
  for (const int listener : share_.listeners) {
    epoll_ctl(share_.epoll.get(), EPOLL_CTL_DEL, listener, nullptr);
  }
  share_.listeners.clear();
}

void KeptConnections::give_back_idle() {
  for (std::uint32_t slot = 0; slot < held_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (!has(id) || share_.kept.fresh(slot) || !share_.kept.claim(id, kMaster)) {
      continue;  // who has had no answer yet expects one
    }
    if (share_.kept.mark_given_back(id)) {
      ask_to_close(held_[slot].descriptor.get());
    }
    share_.kept.release(id, share_.kept.deadline_ns(slot), false);
    watch_again(slot);  // who got its event in between found it claimed
  }
}

void KeptConnections::read_mail() {
  Mail mail;
  for (int i = 0; i < limits::kMostMail && !deaf_; ++i) {
    const Mailboxes::Taken taken = share_.mailboxes.take(0, mail);
    if (taken == Mailboxes::Taken::nothing) {
      return;
    }
    if (taken == Mailboxes::Taken::empty && mail.sender == 0) {
      deaf_ = true;
      sink_.write(log::EventKind::keepalive_off, {},
                  "the workers' mailbox was shut down, which the application must have done: new "
                  "connections are not kept until a reload",
                  {{"reason", "the application has shut down the workers' mailbox"}});
    } else if (taken != Mailboxes::Taken::letter || !take_in(mail)) {
      liars_.push_back(mail.sender);
    }
    mail.descriptor.reset();
  }
}

bool KeptConnections::take_in(Mail& mail) {
  const KeptId id = mail.id;
  if (id.slot >= held_.size()) {
    return false;
  }
  switch (mail.kind) {
    case MailKind::opened:
      // An even version is that of a slot without a connection.
      return id.version % 2 != 0 && (!share_.kept.is_current(id) || hold(mail));
    case MailKind::closed:
      if (has(id) && !share_.kept.is_current(id)) {
        let_go(id.slot);
      }
      sweep_at_ = sweep_at_.value_or(Clock::now() + std::chrono::seconds(1));
      return true;
    case MailKind::wanted:
      if (mail.seat < 1 || mail.seat > share_.mailboxes.seats()) {
        return false;
      }
      give(mail.seat, id);
      return true;
    case MailKind::abandoned:
      if (share_.kept.is_current(id) && share_.kept.holder(id.slot) >= KeptTable::kFirstOwner) {
        end(id);
      }
      return true;
  }
  return false;
}

bool KeptConnections::hold(Mail& mail) {
  const KeptId id = mail.id;
  if (!mail.descriptor) {  // the kernel found no number for it
    if (!std::exchange(told_of_no_room_, true)) {
      sink_.write(log::EventKind::keepalive_off, {},
                  "no descriptor is left for a kept connection; raise the limit of open files "
                  "(LimitNOFILE, ulimit -n)",
                  {{"reason", "the limit of open files"}});
    }
    return true;
  }
  int domain = 0;
  socklen_t size = sizeof(domain);
  if (getsockopt(mail.descriptor.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) {
    return false;  // no connection at all
  }
  // Out of the way of the numbers that other things have in the next generation's processes.
  const int above = fcntl(mail.descriptor.get(), F_DUPFD_CLOEXEC, share_.kept.numbers().above());
  put_in(id, above >= 0 ? Descriptor(above) : std::move(mail.descriptor));
  return true;
}

void KeptConnections::put_in(KeptId id, Descriptor descriptor) {
  let_go(id.slot);
  held_[id.slot].descriptor = std::move(descriptor);
  held_[id.slot].version = id.version;
  expire_at_ = std::min(expire_at_.value_or(Clock::time_point::max()),
                        Clock::now() + std::chrono::seconds(1));
}

void KeptConnections::take_over(KeptConnections& other, Clock::time_point deadline) {
  other.read_mail();
  for (std::uint32_t slot = 0; slot < other.held_.size(); ++slot) {
    const KeptId theirs = other.share_.kept.current(slot);
    const int descriptor = other.held_[slot].descriptor.get();
    if (!other.has(theirs) || !has_input(descriptor) || !other.share_.kept.claim(theirs, kMaster)) {
      continue;
    }
    Descriptor copy(fcntl(descriptor, F_DUPFD_CLOEXEC, share_.kept.numbers().above()));
    const std::optional<KeptId> ours = copy ? share_.kept.allocate(kMaster) : std::nullopt;
    if (ours) {
      if (const TlsPeer peer = other.share_.kept.peer(theirs); peer.is_known()) {
        share_.kept.set_peer(*ours, peer);
      }
      put_in(*ours, std::move(copy));
      share_.kept.release(*ours, deadline.time_since_epoch() / std::chrono::nanoseconds(1), true);
      watch_again(ours->slot);
    }
    other.let_go(slot);
  }
}

void KeptConnections::let_go(std::uint32_t slot) {
  constexpr linger kInBackground{};
  Held& held = held_[slot];
  // Or a worker could make this close wait for the peer.
  setsockopt(held.descriptor.get(), SOL_SOCKET, SO_LINGER, &kInBackground, sizeof(kInBackground));
  if (held.watched) {
    epoll_ctl(share_.epoll.get(), EPOLL_CTL_DEL, held.descriptor.get(), nullptr);
  }
  held = {};
}

// Who asks has an empty mailbox, or is about to read it and ask again.
void KeptConnections::give(int seat, KeptId id) const {
  if (has(id) && share_.kept.is_current(id)) {
    static_cast<void>(
        share_.mailboxes.post(seat, {MailKind::opened, id}, held_[id.slot].descriptor.get()));
  }
}

// Ends a connection that the master, or a worker that is no more, owns.
void KeptConnections::end(KeptId id) {
  if (has(id)) {
    shutdown(held_[id.slot].descriptor.get(), SHUT_RDWR);
    let_go(id.slot);
  }
  share_.kept.free(id);
  sweep_at_ = sweep_at_.value_or(Clock::now() + std::chrono::seconds(1));
}

std::optional<KeptConnections::Clock::time_point> KeptConnections::next_deadline() const {
  std::optional<Clock::time_point> next;
  const auto consider = [&](std::optional<Clock::time_point> at) {
    if (at && (!next || *at < *next)) {
      next = at;
    }
  };
  consider(expire_at_);
  consider(sweep_at_);
  return next;
}

void KeptConnections::act_on_deadlines() {
  if (expire_at_ && *expire_at_ <= Clock::now()) {
    expire();
  }
  if (sweep_at_ && *sweep_at_ <= Clock::now()) {
    sweep_at_.reset();
    close_stale();
  }
}

// What was closed while the mailbox of the master was full.
void KeptConnections::close_stale() {
  for (std::uint32_t slot = 0; slot < held_.size(); ++slot) {
    if (held_[slot].version != 0 && !share_.kept.is_current({slot, held_[slot].version})) {
      let_go(slot);
    }
  }
}

int KeptConnections::held() const {
  return static_cast<int>(
      std::ranges::count_if(held_, [](const Held& held) { return held.version != 0; }));
}

// Ends what has been idle for too long, and finds out when to look again: never, when nothing is
// kept.
void KeptConnections::expire() {
  const std::int64_t now = now_ns();
  std::optional<std::int64_t> next;
  for (std::uint32_t slot = 0; slot < held_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (!has(id)) {
      continue;
    }
    const bool idle = share_.kept.holder(slot) == KeptTable::kIdle;
    const std::int64_t deadline = share_.kept.deadline_ns(slot);
    const bool late = deadline <= now;
    // One with a request in it is not idle: it waits for a worker.
    if (idle && late && !has_input(held_[slot].descriptor.get()) &&
        share_.kept.claim(id, kMaster)) {
      end(id);
    } else {
      // One that is being served, or is about to be, gets a new deadline.
      const std::int64_t at = idle && !late ? deadline : now + 1'000'000'000;
      next = std::min(next.value_or(at), at);
    }
  }
  expire_at_.reset();
  if (next) {
    expire_at_ = Clock::time_point(std::chrono::nanoseconds(std::max(*next, now + 1'000'000)));
  }
}

}  // namespace forktail::server
