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

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

// The master as an owner: below any worker's number.
constexpr std::uint32_t kMaster = KeptTable::kFirstOwner;

std::int64_t now_ns() {
  return KeptConnections::Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

bool has_input(int descriptor) {
  pollfd watched{descriptor, POLLIN, 0};
  return poll(&watched, 1, 0) > 0;
}

}  // namespace

KeptConnections::KeptConnections(std::vector<int> listeners, int base, int capacity, int seats)
    : share_{Descriptor(epoll_create1(EPOLL_CLOEXEC)), std::move(listeners),
             KeptTable(base, capacity, seats), Mailboxes(seats)},
      installed_(static_cast<std::size_t>(capacity)),
      due_for_mail_(static_cast<std::size_t>(seats) + 1) {
  for (std::size_t i = 0; i < share_.listeners.size(); ++i) {
    if (!watch(share_.epoll.get(), EPOLL_CTL_ADD, share_.listeners[i], event_of_listener(i))) {
      throw std::system_error(errno, std::generic_category(), "cannot watch a listening socket");
    }
  }
}

KeptConnections::~KeptConnections() {
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (installed_[slot] != 0) {
      close(share_.kept.descriptor(slot));
    }
  }
}

void KeptConnections::admit(int seat) {
  Mail stale;
  while (share_.mailboxes.take(seat, stale)) {
    stale.descriptor.reset();
  }
  share_.kept.set_occupied(seat, true);
  read_mail();
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (installed_[slot] != 0) {
      give(seat, {slot, installed_[slot]});
    }
  }
}

void KeptConnections::dismiss(int seat) {
  share_.kept.set_occupied(seat, false);
  read_mail();
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (held_by(seat, slot)) {
      end(share_.kept.current(slot));
    }
  }
  rearm();
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
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (!held_by(seat, slot) || !has(id)) {
      continue;
    }
    const int thread = ReadyList::thread_of(share_.kept.holder(slot));
    if (resumable(thread, has_input(share_.kept.descriptor(slot)))) {
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
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (share_.kept.holder(slot) == KeptTable::kIdle && has(id) &&
        !watch(share_.epoll.get(), EPOLL_CTL_MOD, share_.kept.descriptor(slot),
               event_of_kept(id))) {
      watch(share_.epoll.get(), EPOLL_CTL_ADD, share_.kept.descriptor(slot), event_of_kept(id));
    }
  }
}

void KeptConnections::stop_accepting() {
  for (const int listener : share_.listeners) {
    epoll_ctl(share_.epoll.get(), EPOLL_CTL_DEL, listener, nullptr);
  }
  share_.listeners.clear();
}

void KeptConnections::read_mail() {
  Mail mail;
  while (share_.mailboxes.take(0, mail)) {
    take_in(mail);
    mail.descriptor.reset();
  }
}

void KeptConnections::take_in(Mail& mail) {
  const KeptId id = mail.id;
  switch (mail.kind) {
    case MailKind::opened:
      if (share_.kept.is_current(id) &&
          dup3(mail.descriptor.get(), share_.kept.descriptor(id.slot), O_CLOEXEC) >= 0) {
        installed_[id.slot] = id.version;
        if (mail.membership != share_.kept.membership()) {
          forward(id);
        }
        expire_at_ = std::min(expire_at_.value_or(Clock::time_point::max()),
                              Clock::now() + std::chrono::seconds(1));
      }
      return;
    case MailKind::closed:
      if (has(id)) {
        installed_[id.slot] = 0;
        close(share_.kept.descriptor(id.slot));
      }
      sweep_at_ = sweep_at_.value_or(Clock::now() + std::chrono::seconds(1));
      return;
    case MailKind::abandoned:
      if (share_.kept.is_current(id)) {
        end(id);
      }
      return;
    case MailKind::full:
      due_for_mail_[id.slot] = true;
      return;
  }
}

// The sender did not know of a worker that has joined meanwhile. Who has it already takes no harm.
void KeptConnections::forward(KeptId id) {
  for (int seat = 1; seat <= share_.mailboxes.seats(); ++seat) {
    if (share_.kept.occupied(seat)) {
      give(seat, id);
    }
  }
}

void KeptConnections::give(int seat, KeptId id) {
  const Mail mail{MailKind::opened, id, share_.kept.membership()};
  if (!share_.mailboxes.post(seat, mail, share_.kept.descriptor(id.slot))) {
    owed_.push_back({seat, id});
    due_for_mail_[static_cast<std::size_t>(seat)] = true;
  }
}

// Ends a connection that the master, or a worker that is no more, owns.
void KeptConnections::end(KeptId id) {
  if (has(id)) {
    const int number = share_.kept.descriptor(id.slot);
    epoll_ctl(share_.epoll.get(), EPOLL_CTL_DEL, number, nullptr);
    shutdown(number, SHUT_RDWR);
    close(number);
    installed_[id.slot] = 0;
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
  if (!owed_.empty()) {
    consider(Clock::now() + milliseconds(5));
  }
  return next;
}

void KeptConnections::act_on_deadlines() {
  for (std::deque<Owed> owed = std::exchange(owed_, {}); const auto& [seat, id] : owed) {
    if (share_.kept.occupied(seat) && has(id)) {
      give(seat, id);
    }
  }
  if (expire_at_ && *expire_at_ <= Clock::now()) {
    expire();
  }
  if (sweep_at_ && *sweep_at_ <= Clock::now()) {
    sweep_at_.reset();
    close_stale();
    std::fill(due_for_mail_.begin(), due_for_mail_.end(), true);
  }
}

// What was closed while the mailbox of the master was full.
void KeptConnections::close_stale() {
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    if (installed_[slot] != 0 && !share_.kept.is_current({slot, installed_[slot]})) {
      installed_[slot] = 0;
      close(share_.kept.descriptor(slot));
    }
  }
}

// Ends what has been idle for too long, and finds out when to look again: never, when nothing is
// kept.
void KeptConnections::expire() {
  const std::int64_t now = now_ns();
  std::optional<std::int64_t> next;
  for (std::uint32_t slot = 0; slot < installed_.size(); ++slot) {
    const KeptId id = share_.kept.current(slot);
    if (!has(id)) {
      continue;
    }
    const bool idle = share_.kept.holder(slot) == KeptTable::kIdle;
    const std::int64_t deadline = share_.kept.deadline_ns(slot);
    const bool late = deadline <= now;
    // One with a request in it is not idle: it waits for a worker.
    if (idle && late && !has_input(share_.kept.descriptor(slot)) &&
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

std::vector<int> KeptConnections::take_due_for_mail() {
  std::vector<int> due;
  for (std::size_t seat = 1; seat < due_for_mail_.size(); ++seat) {
    if (due_for_mail_[seat] && share_.kept.occupied(static_cast<int>(seat))) {
      due.push_back(static_cast<int>(seat));
    }
    due_for_mail_[seat] = false;
  }
  return due;
}

}  // namespace forktail::server
