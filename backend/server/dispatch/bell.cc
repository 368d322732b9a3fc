#include "server/dispatch/bell.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace forktail::server {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{2};  // how soon it sees that it was heard
constexpr milliseconds kLongest{20};
constexpr milliseconds kPause{250};

}  // namespace

Bell::Bell(int epoll) : epoll_(epoll), clapper_(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event silent{};
  silent.data.u64 = kBellEvent;
  if (!clapper_ || epoll_ctl(epoll_, EPOLL_CTL_ADD, clapper_.get(), &silent) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot make the workers' bell");
  }
}

void Bell::set(bool rings) {
  if (rings_ != rings) {
    rings_ = rings;
    epoll_event event{};
    if (rings) {
      event.events = EPOLLIN;
    }
    event.data.u64 = kBellEvent;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, clapper_.get(), &event);
  }
}

void Bell::ring(Clock::time_point now) {
  set(true);
  rings_until_ = now + kLongest;
  look_at_ = now + kLook;
}

void Bell::attend(Clock::time_point now, bool needed) {
  if (!needed) {
    set(false);
    look_at_.reset();
  } else if (!look_at_ || (*look_at_ <= now && !rings_)) {
    ring(now);
  } else if (*look_at_ <= now) {
    set(now < rings_until_);
    look_at_ = now + (rings_ ? kLook : kPause);
  }
}

std::optional<Bell::Clock::time_point> Bell::next_deadline(Clock::time_point now,
                                                           bool needed) const {
  return needed && !look_at_ ? now : look_at_;
}

}  // namespace forktail::server
