#include "queue_fifo.h"

#include <atomic>
#include <cstdlib>

namespace forktail {
namespace {

constexpr uint32_t kMagic = 0x666b7166;  // "fkqf"

// What stands before it is stored before what stands behind it: to a process that is killed, the
// compiler's order is the only one that matters.
void keep_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

SeatSet bit_of(ngx_uint_t seat) { return SeatSet{1} << seat % kSeatBits; }

}  // namespace

class QueueFifo::Lock {
 public:
  explicit Lock(QueueFifo* fifo) : fifo_(fifo) {
    if (!fifo->sound()) {
      abort();  // its pool, and with it the lock, may be anywhere
    }
    ngx_shmtx_lock(&fifo->pool_->mutex);
    if (fifo->changing_) {
      fifo->rebuild(kSeats);
    }
    fifo->changing_ = true;
    keep_order();
  }
  ~Lock() {
    keep_order();
    fifo_->changing_ = false;
    ngx_shmtx_unlock(&fifo_->pool_->mutex);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  QueueFifo* fifo_;
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
  fifo->magic_ = kMagic;
  fifo->pool_ = pool;
  fifo->capacity_ = (room - sizeof(QueueFifo)) / sizeof(Node);
  fifo->head_ = fifo->tail_ = fifo->free_ = kNone;
  for (auto place = static_cast<Place>(fifo->capacity_); place-- > 0;) {
    fifo->free_node(place);
  }
  return fifo;
}

bool QueueFifo::sound() const { return magic_ == kMagic; }

void QueueFifo::configure(ngx_uint_t limit, ngx_uint_t size) {
  if (!sound()) {
    return;
  }
  const Lock lock(this);
  limit_ = limit;
  size_ = size;
}

QueueFifo::Entry QueueFifo::enter(ngx_uint_t seat, Place* place) {
  const Lock lock(this);
  if (waiting_ == 0 && active_ < limit_) {
    ++held_[seat];
    keep_order();
    ++active_of_[seat];
    ++active_;
    ++counters_.admitted;
    return Entry::kAdmitted;
  }
  if (waiting_ >= size_ || free_ == kNone) {
    ++counters_.full;
    return Entry::kFull;
  }
  ++held_[seat];
  keep_order();
  *place = take_node(seat);
  return Entry::kWaiting;
}

bool QueueFifo::collect(Place place) {
  const Lock lock(this);
  const Node node = nodes()[place];
  if (node.state != State::kGranted) {
    return false;
  }
  ++active_of_[node.seat];
  free_node(place);
  return true;
}

Granted QueueFifo::abandon(Place place, Exit why) {
  const Lock lock(this);
  const Node node = nodes()[place];
  (why == Exit::kTimedOut ? counters_.timed_out : counters_.left)++;
  if (node.state == State::kWaiting) {
    unlink(place);
  } else {
    --counters_.admitted;
    --counters_.waited;
    --active_;
  }
  free_node(place);
  const Granted granted = grant(node.seat);
  keep_order();
  --held_[node.seat];
  return granted;
}

Granted QueueFifo::leave(ngx_uint_t seat) {
  const Lock lock(this);
  --active_of_[seat];
  --active_;
  const Granted granted = grant(seat);
  keep_order();
  --held_[seat];
  return granted;
}

Granted QueueFifo::settle(ngx_uint_t seat, uint32_t epoch) {
  const Lock lock(this);
  const Granted granted = forget(seat);
  keep_order();
  epochs_[seat] = epoch;
  return granted;
}

Granted QueueFifo::reclaim(ngx_uint_t seat, uint32_t epoch) {
  const Lock lock(this);
  return epochs_[seat] == epoch ? forget(seat) : Granted{};
}

Granted QueueFifo::forget(ngx_uint_t seat) {
  active_of_[seat] = 0;
  // Those that the process has let go may not have been woken.
  const SeatSet uncollected = rebuild(seat);
  const Granted granted = grant(kSeats);
  keep_order();
  held_[seat] = 0;
  return {false, uncollected | granted.others};
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
  keep_order();
  (tail_ == kNone ? head_ : nodes()[tail_].next) = place;
  tail_ = place;
  ++waiting_;
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
  --waiting_;
}

// Makes the line, the free places and the counts anew, without what the seat `without` has. Returns
// who was let go and has not collected that.
SeatSet QueueFifo::rebuild(ngx_uint_t without) {
  Place* link = &head_;
  Place next = head_;
  tail_ = kNone;
  waiting_ = 0;
  while (next != kNone) {
    const Place place = next;
    Node& node = nodes()[place];
    next = node.next;
    if (node.state == State::kWaiting && node.seat != without) {
      node.prev = tail_;
      *link = tail_ = place;
      link = &node.next;
      ++waiting_;
    }
  }
  *link = kNone;

  active_ = 0;
  for (const uint32_t active : active_of_) {
    active_ += active;
  }
  SeatSet uncollected = 0;
  free_ = kNone;
  for (auto place = static_cast<Place>(capacity_); place-- > 0;) {
    const Node& node = nodes()[place];
    if (node.state == State::kFree || node.seat == without) {
      free_node(place);
    } else if (node.state == State::kGranted) {
      ++active_;
      uncollected |= bit_of(node.seat);
    }
  }
  return uncollected;
}

Granted QueueFifo::grant(ngx_uint_t own) {
  Granted granted = {};
  while (head_ != kNone && active_ < limit_) {
    const Place place = head_;
    Node& node = nodes()[place];
    node.state = State::kGranted;
    keep_order();
    unlink(place);
    ++active_;
    ++counters_.admitted;
    ++counters_.waited;
    if (node.seat == own) {
      granted.own = true;
    } else {
      granted.others |= bit_of(node.seat);
    }
  }
  return granted;
}

}  // namespace forktail
