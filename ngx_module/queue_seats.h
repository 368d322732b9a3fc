// Which worker processes there are, and how one wakes another.
//
// A worker takes a seat when it starts and keeps it while it lives, which it proves by a record
// lock: the kernel drops that lock with the process, whatever ends it, and no reused process id can
// be mistaken for it. An eventfd per bit of a SeatSet, made by the master and inherited by all
// workers of all generations, wakes those whose seats have that bit. Each process that takes a seat
// begins a new epoch of it: so whoever has an old one in mind, as the queue of an old configuration
// has, learns that its holder is gone though the seat is taken.
#pragma once

#include "ngx_http_forktail.h"
#include "queue_fifo.h"

namespace forktail {

constexpr ngx_uint_t kNoSeat = kSeats;

// Called by the master while it reads a configuration that has queues. The descriptors are closed
// with the last cycle that asked for them.
ngx_int_t prepare_seats(ngx_conf_t* cf);

// Called by a worker when it starts. `woken` runs in it whenever another worker, or the worker
// itself, has called wake() for it or for one that shares its bit. A worker that finds no seat has
// kNoSeat and says so in the log.
ngx_int_t take_seat(ngx_cycle_t* cycle, void (*woken)());

// The seat of this process.
ngx_uint_t own_seat();
// Of the process that took `seat` last.
uint32_t epoch_of(ngx_uint_t seat);

void wake(const Granted& granted);

// Whether the holder of `seat` is gone. If so, nobody else takes it until `let_seat_go`.
bool seize_empty_seat(ngx_uint_t seat);
void let_seat_go(ngx_uint_t seat);

}  // namespace forktail
