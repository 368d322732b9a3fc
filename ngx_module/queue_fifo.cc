#include "queue_fifo.h"

namespace forktail {

class QueueFifo::Lock {
 public:
  explicit Lock(QueueFifo* fifo) : mutex_(&fifo->pool_->mutex) { ngx_shmtx_lock(mutex_); }
  ~Lock() { ngx_shmtx_unlock(mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  ngx_shmtx_t* mutex_;
};

QueueFifo* QueueFifo::create(ngx_slab_pool_t* pool) {
  const size_t room = pool->pfree * ngx_pagesize;
  if (room < sizeof(QueueFifo) + sizeof(Node)) {
    return nullptr;
  }
  auto* fifo = static_cast<QueueFifo*>(ngx_slab_calloc(pool, room));
  if (fifo == nullptr) {
    return nullptr;
  }
  fifo->pool_ = pool;
  fifo->capacity_ = (room - sizeof(QueueFifo)) / sizeof(Node);
  fifo->head_ = fifo->tail_ = fifo->free_ = kNone;
  for (auto place = static_cast<Place>(fifo->capacity_); place-- > 0;) {
    fifo->free_node(place);
  }
  return fifo;
}

void QueueFifo::configure(ngx_uint_t limit, ngx_uint_t size) {
  const Lock lock(this);
  limit_ = limit;
  size_ = size;
}

QueueFifo::Entry QueueFifo::enter(ngx_uint_t seat, Place* place) {
  const Lock lock(this);
  if (waiting_ == 0 && active_ < limit_) {
    active_++;
    active_of_[seat]++;
    held_[seat]++;
    counters_.admitted++;
    return Entry::kAdmitted;
  }
  if (waiting_ >= size_ || free_ == kNone) {
    counters_.full++;
    return Entry::kFull;
  }
  *place = take_node(seat);
  return Entry::kWaiting;
}

bool QueueFifo::collect(Place place) {
  const Lock lock(this);
  if (nodes()[place].state != State::kGranted) {
    return false;
  }
  held_[nodes()[place].seat]--;
  free_node(place);
  return true;
}

SeatSet QueueFifo::abandon(Place place, Exit why) {
  const Lock lock(this);
  const Node node = nodes()[place];
  (why == Exit::kTimedOut ? counters_.timed_out : counters_.left)++;
  if (node.state == State::kWaiting) {
    unlink(place);
  } else {
    counters_.admitted--;
    counters_.waited--;
    release(node.seat);
  }
  held_[node.seat]--;
  free_node(place);
  return grant();
}

SeatSet QueueFifo::leave(ngx_uint_t seat) {
  const Lock lock(this);
  release(seat);
  return grant();
}

SeatSet QueueFifo::reclaim(ngx_uint_t seat) {
  const Lock lock(this);
  for (Place place = 0; place < capacity_; place++) {
    if (nodes()[place].state == State::kFree || nodes()[place].seat != seat) {
      continue;
    }
    if (nodes()[place].state == State::kWaiting) {
      unlink(place);
    }
    free_node(place);
  }
  active_of_[seat] = 0;
  held_[seat] = 0;
  // Counted anew, since the process may have ended between two of its counts.
  active_ = 0;
  for (const uint32_t active : active_of_) {
    active_ += active;
  }
  return grant();
}

QueueFifo::Status QueueFifo::status() {
  const Lock lock(this);
  return {limit_, size_, active_, waiting_, counters_};
}

QueueFifo::Place QueueFifo::take_node(ngx_uint_t seat) {
  const Place place = free_;
  Node& node = nodes()[place];
  free_ = node.next;
  node = {tail_, kNone, static_cast<uint16_t>(seat), State::kWaiting};
  (tail_ == kNone ? head_ : nodes()[tail_].next) = place;
  tail_ = place;
  waiting_++;
  held_[seat]++;
  return place;
}

void QueueFifo::free_node(Place place) {
  nodes()[place] = {kNone, free_, 0, State::kFree};
  free_ = place;
}

void QueueFifo::unlink(Place place) {
  const Node& node = nodes()[place];
  (node.prev == kNone ? head_ : nodes()[node.prev].next) = node.next;
  (node.next == kNone ? tail_ : nodes()[node.next].prev) = node.prev;
  waiting_--;
}

void QueueFifo::release(ngx_uint_t seat) {
  active_--;
  active_of_[seat]--;
  held_[seat]--;
}

SeatSet QueueFifo::grant() {
  SeatSet seats = 0;
  while (head_ != kNone && active_ < limit_) {
    const Place place = head_;
    unlink(place);
    Node& node = nodes()[place];
    node.state = State::kGranted;
    active_++;
    active_of_[node.seat]++;
    held_[node.seat]++;
    counters_.admitted++;
    counters_.waited++;
    seats |= SeatSet{1} << node.seat % kSeatBits;
  }
  return seats;
}

}  // namespace forktail
