#include "queue_seats.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace forktail {
namespace {

// Of the whole process, since descriptors are: the master's outlive its cycles.
struct Seats {
  ngx_uint_t users;  // cycles that have queues
  int locks;         // a file of what all processes share: an epoch a seat, whose bytes are locked
  uint32_t* epochs;
  int events[kSeatBits];
};

Seats g_seats;
ngx_uint_t g_own = kNoSeat;
void (*g_woken)();
constexpr size_t kEpochsSize = kSeats * sizeof(uint32_t);
ngx_event_t g_woken_by_self;

bool lock_seat(ngx_uint_t seat, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(seat);
  lock.l_len = 1;
  return fcntl(g_seats.locks, F_SETLK, &lock) == 0;
}

void close_all(Seats* seats, ngx_uint_t events) {
  for (ngx_uint_t i = 0; i < events; ++i) {
    close(seats->events[i]);
  }
  if (seats->epochs != nullptr) {
    munmap(seats->epochs, kEpochsSize);
    seats->epochs = nullptr;
  }
  close(seats->locks);
}

ngx_int_t open_all(ngx_log_t* log) {
  g_seats.locks = memfd_create("forktail_seats", MFD_CLOEXEC);
  if (g_seats.locks == -1) {
    ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "memfd_create() for forktail_queue failed");
    return NGX_ERROR;
  }
  void* epochs = MAP_FAILED;
  if (ftruncate(g_seats.locks, kEpochsSize) == 0) {
    epochs = mmap(nullptr, kEpochsSize, PROT_READ | PROT_WRITE, MAP_SHARED, g_seats.locks, 0);
  }
  if (epochs == MAP_FAILED) {
    ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "mapping the seats of forktail_queue failed");
    close_all(&g_seats, 0);
    return NGX_ERROR;
  }
  g_seats.epochs = static_cast<uint32_t*>(epochs);
  for (ngx_uint_t i = 0; i < kSeatBits; ++i) {
    g_seats.events[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (g_seats.events[i] == -1) {
      ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "eventfd() for forktail_queue failed");
      close_all(&g_seats, i);
      return NGX_ERROR;
    }
  }
  return NGX_OK;
}

void ngx_http_forktail_queue_drop_seats(void*) {
  if (--g_seats.users == 0) {
    close_all(&g_seats, kSeatBits);
  }
}

bool by_edges() { return (ngx_event_flags & NGX_USE_CLEAR_EVENT) != 0; }

void ngx_http_forktail_queue_wake_up(ngx_event_t* event) {
  // Edges come with each write, read or not. What one worker reads, another one that listens too
  // would not be told of.
  if (!by_edges()) {
    uint64_t count;
    (void)!read(static_cast<const ngx_connection_t*>(event->data)->fd, &count, sizeof(count));
  }
  g_woken();
}

void ngx_http_forktail_queue_wake_up_self(ngx_event_t*) { g_woken(); }

ngx_int_t listen_to(ngx_cycle_t* cycle, int fd) {
  ngx_connection_t* connection = ngx_get_connection(fd, cycle->log);
  if (connection == nullptr) {
    return NGX_ERROR;
  }
  connection->pool = cycle->pool;
  connection->read->log = cycle->log;
  connection->write->log = cycle->log;
  // Not a connection that a worker forgot to close when it ends.
  connection->read->channel = 1;
  connection->write->channel = 1;
  connection->read->handler = ngx_http_forktail_queue_wake_up;
  const ngx_uint_t flags = by_edges() ? ngx_uint_t{NGX_CLEAR_EVENT} : ngx_uint_t{NGX_LEVEL_EVENT};
  return ngx_add_event(connection->read, NGX_READ_EVENT, flags);
}

}  // namespace

ngx_int_t prepare_seats(ngx_conf_t* cf) {
  ngx_pool_cleanup_t* cleanup = ngx_pool_cleanup_add(cf->cycle->pool, 0);
  if (cleanup == nullptr || (g_seats.users == 0 && open_all(cf->log) != NGX_OK)) {
    return NGX_ERROR;
  }
  ++g_seats.users;
  cleanup->handler = ngx_http_forktail_queue_drop_seats;
  return NGX_OK;
}

ngx_int_t take_seat(ngx_cycle_t* cycle, void (*woken)()) {
  g_woken = woken;
  g_woken_by_self.handler = ngx_http_forktail_queue_wake_up_self;
  g_woken_by_self.log = cycle->log;
  const ngx_uint_t seats = by_edges() ? kSeats : kSeatBits;
  for (ngx_uint_t seat = 0; seat < seats; ++seat) {
    if (lock_seat(seat, F_WRLCK)) {
      g_own = seat;
      ++g_seats.epochs[seat];
      return listen_to(cycle, g_seats.events[seat % kSeatBits]);
    }
  }
  ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                "all %ui places for worker processes are taken: forktail_queue does not limit this "
                "one's requests, lower \"worker_processes\"",
                seats);
  return NGX_OK;
}

ngx_uint_t own_seat() { return g_own; }

uint32_t epoch_of(ngx_uint_t seat) { return g_seats.epochs[seat]; }

void wake(const Granted& granted) {
  if (granted.own) {
    ngx_post_event(&g_woken_by_self, &ngx_posted_events);
  }
  SeatSet seats = granted.others;
  for (ngx_uint_t bit = 0; seats != 0; bit++, seats >>= 1) {
    if ((seats & 1) != 0) {
      const uint64_t one = 1;
      // It fails only when the counter is full, and then its listeners are being woken already.
      (void)!write(g_seats.events[bit], &one, sizeof(one));
    }
  }
}

bool seize_empty_seat(ngx_uint_t seat) { return seat != g_own && lock_seat(seat, F_WRLCK); }

void let_seat_go(ngx_uint_t seat) { lock_seat(seat, F_UNLCK); }

}  // namespace forktail
