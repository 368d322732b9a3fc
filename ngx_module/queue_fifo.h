// The count of the requests that are at a backend and the line of those that wait, over all nginx
// workers.
//
// Lies in shared memory. Every function takes the lock of the zone's slab pool, which nginx's
// master releases when a worker dies holding it. A worker is known by its seat (queue_seats.h). One
// that finds something else there than a QueueFifo ends, by SIGABRT, which nginx's master logs.
// Functions that let waiting requests go return whose they are: those workers are to be woken.
//
// A worker may be killed in the middle of a change. Whoever comes next puts that right, from what
// holds at each moment: the line from its head on, the state of each place, and what is counted of
// a seat, which only its holder changes.
#pragma once

extern "C" {
#include <ngx_config.h>
#include <ngx_core.h>
}

namespace forktail {

constexpr ngx_uint_t kSeats = 1024;
// A bit for each seat's number modulo 64: the few workers that share one are woken together.
using SeatSet = uint64_t;
constexpr ngx_uint_t kSeatBits = 64;

// Whose waiting requests were let go.
struct Granted {
  bool own;  // the caller's
  SeatSet others;
};

class QueueFifo {
 public:
  using Place = uint32_t;
  static constexpr Place kNone = ~Place{0};

  struct Counters {
    uint64_t admitted;   // went to the backend
    uint64_t waited;     // of these, after waiting
    uint64_t full;       // refused, because the line was full
    uint64_t timed_out;  // waited too long
    uint64_t left;       // went away while waiting, mostly because their clients did
  };

  struct Status {
    ngx_uint_t limit;
    ngx_uint_t size;
    ngx_uint_t active;
    ngx_uint_t waiting;
    Counters counters;
  };

  enum class Entry { kAdmitted, kWaiting, kFull };
  enum class Exit { kTimedOut, kLeft };

  // Takes all of a new pool. Null when the pool is too small for even one request.
  static QueueFifo* create(ngx_slab_pool_t* pool);

  // How many requests may be at the backend and wait, together.
  ngx_uint_t capacity() const { return capacity_; }
  // Whether this is one at all. For nginx's master, which does not end whatever stands there.
  bool sound() const;
  // Does nothing when it is none.
  void configure(ngx_uint_t limit, ngx_uint_t size);

  // How much memory that many take.
  static size_t bytes_for(ngx_uint_t requests) {
    return sizeof(QueueFifo) + requests * sizeof(Node);
  }

  // A request arrives. When it has to wait, `place` is where.
  Entry enter(ngx_uint_t seat, Place* place);
  // Whether the request that waits at `place` may go; its place is given up then.
  bool collect(Place place);
  // A request goes away before it was collected.
  Granted abandon(Place place, Exit why);
  // A request is done with the backend.
  Granted leave(ngx_uint_t seat);
  // The process of this epoch takes `seat`: forgets all that the one before it left behind.
  Granted settle(ngx_uint_t seat, uint32_t epoch);
  // Forgets all that the process of this epoch left behind. Nothing when another one has taken the
  // seat since, and settled.
  Granted reclaim(ngx_uint_t seat, uint32_t epoch);
  // The epoch of the process that `seat` was settled by. Takes no lock.
  uint32_t epoch(ngx_uint_t seat) const { return epochs_[seat]; }
  // Whether there is anything to reclaim. Takes no lock.
  bool holds(ngx_uint_t seat) const { return held_[seat] != 0; }
  // Whether a request that arrives now would have to wait. Takes no lock.
  bool busy() const { return waiting_ != 0 || active_ >= limit_; }

  Status status();

 private:
  enum class State : uint16_t { kFree, kWaiting, kGranted };

  struct Node {
    Place prev;
    Place next;  // of a free node: the next free one
    uint16_t seat;
    State state;
  };

  class Lock;

  Node* nodes() { return reinterpret_cast<Node*>(this + 1); }
  Place take_node(ngx_uint_t seat);
  void free_node(Place place);
  void unlink(Place place);
  SeatSet rebuild(ngx_uint_t without);
  Granted forget(ngx_uint_t seat);
  Granted grant(ngx_uint_t own);

  uint32_t magic_;
  ngx_slab_pool_t* pool_;
  bool changing_;  // by the holder of the lock, or by one that died with it
  ngx_uint_t capacity_;
  ngx_uint_t limit_;
  ngx_uint_t size_;
  ngx_uint_t active_;  // the admitted ones, and those that were let go and not collected yet
  ngx_uint_t waiting_;
  Place head_;
  Place tail_;
  Place free_;
  Counters counters_;
  uint32_t active_of_[kSeats];  // requests of each seat that are at the backend
  uint32_t held_[kSeats];       // and those that have a place: all that is to be reclaimed
  uint32_t epochs_[kSeats];     // of the process that all this is of
};

}  // namespace forktail
