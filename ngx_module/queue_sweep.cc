#include "queue_sweep.h"

#include "queue_seats.h"

namespace forktail {
namespace {

constexpr ngx_msec_t kSweepInterval = 100;

void sweep(const QueueZone* zone) {
  for (ngx_uint_t seat = 0; seat < kSeats; ++seat) {
    if (!zone->fifo->holds(seat) || seat == own_seat()) {
      continue;
    }
    const uint32_t epoch = zone->fifo->epoch(seat);
    if (epoch != epoch_of(seat)) {  // somebody else sits there, who need not know of this queue
      wake(zone->fifo->reclaim(seat, epoch));
    } else if (seize_empty_seat(seat)) {
      wake(zone->fifo->reclaim(seat, epoch));
      let_seat_go(seat);
    }
  }
}

void ngx_http_forktail_queue_sweep(ngx_event_t* event) {
  const auto* line = static_cast<const QueueLine*>(event->data);
  sweep(line->zone);
  ngx_add_timer(event, kSweepInterval);
}

}  // namespace

void sweep_now_and_then(const QueueZone* zone) {
  if (ngx_current_msec - zone->line->swept >= kSweepInterval) {
    zone->line->swept = ngx_current_msec;
    sweep(zone);
  }
}

void keep_sweeping(const QueueZone* zone) {
  ngx_event_t* sweeper = &zone->line->sweeper;
  if (sweeper->timer_set) {
    return;
  }
  sweeper->handler = ngx_http_forktail_queue_sweep;
  sweeper->data = zone->line;
  sweeper->log = ngx_cycle->log;
  sweeper->cancelable = 1;
  ngx_add_timer(sweeper, kSweepInterval);
}

void stop_sweeping(const QueueZone* zone) {
  if (zone->line->sweeper.timer_set) {
    ngx_del_timer(&zone->line->sweeper);
  }
}

void sweep_at_start(const QueueZone* zone) {
  if (own_seat() != kNoSeat) {
    wake(zone->fifo->settle(own_seat(), epoch_of(own_seat())));
  }
  sweep(zone);
}

}  // namespace forktail
