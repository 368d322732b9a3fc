// The shared memory in which the workers say what they are doing, and from which the master learns
// what a dead one was doing.
//
// Made by the master, one a generation, as a memfd that all inherit (also over an exec). A *seat*
// is one worker process's place and has its number, from 1; it has one Slot for each thread.
// Each Slot is written by its own thread only and read by anybody: a reader takes a snapshot and,
// by the version count, never a half-written one of a living writer. Of a dead writer the last
// complete and the begun state are all that there is, and both are readable.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/os/shared_flag.h"
#include "server/os/shared_memory.h"
#include "wire/packet.h"

namespace forktail::server {

enum class SlotState : std::uint32_t { idle, reading, handling, writing };

std::string_view to_string(SlotState state);

// What is known of the request in a slot. Text is cut to what fits.
struct SlotRequest {
  SlotState state = SlotState::idle;
  std::int64_t since_ns = 0;  // CLOCK_MONOTONIC at the request's begin
  std::string id;
  std::string method;
  std::string path;

  // Never negative, whatever has been written there.
  [[nodiscard]] std::int64_t age_ns(std::int64_t now_ns) const {
    return now_ns - std::clamp(since_ns, std::int64_t{0}, now_ns);
  }
};

class Slot {
 public:
  // The request's way through a worker, called by the slot's own thread. finish() comes last: when
  // the connection has been closed, or before it is given to others.
  void begin_reading(std::int64_t now_ns) noexcept;
  // When its head has come; its body may still be read.
  void name_request(std::string_view id, std::string_view method, std::string_view path) noexcept;
  void begin_handling() noexcept { state_.store(SlotState::handling, std::memory_order_release); }
  // `offered`: the answer promises to keep the connection.
  void begin_writing(bool offered) noexcept;
  void end_writing() noexcept { answered_.store(true, std::memory_order_release); }
  void finish(bool served) noexcept;

  // Where the packet is read to, and how much of it has come: the master can name a request that
  // died before it was parsed.
  [[nodiscard]] std::span<char> packet() noexcept { return packet_; }
  void note_received(std::size_t size) noexcept {
    received_.store(static_cast<std::uint32_t>(size), std::memory_order_release);
  }

  void count_exception() noexcept { add(exceptions_, 1); }
  void count_response(std::uint64_t bytes, std::uint64_t handle_us) noexcept {
    add(bytes_, bytes);
    add(handle_us_, handle_us);
  }

  // The thread that the slot belongs to, from now on.
  void set_thread(pid_t tid) noexcept { tid_.store(tid, std::memory_order_relaxed); }

  // A half-written one is waited for, unless that was in vain before (Slots::snapshot()).
  [[nodiscard]] SlotRequest snapshot(bool patient = true) const;
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
  [[nodiscard]] SlotState state() const noexcept { return state_.load(std::memory_order_relaxed); }
  [[nodiscard]] pid_t thread() const noexcept { return tid_.load(std::memory_order_relaxed); }
  // That its thread sleeps until there is something to do.
  [[nodiscard]] SharedFlag& asleep() noexcept { return asleep_; }

  // Of a dead writer: snapshot(), with the name of a request whose packet had come but was not
  // parsed yet.
  [[nodiscard]] SlotRequest last_request() const;
  // Of a dead writer: its answer was wholly sent.
  [[nodiscard]] bool answered() const noexcept { return answered_; }
  // Of a dead writer: its connection stands between two requests, so that another worker can go on
  // with it. `waiting`: something has come on it that nobody has read. A peer that keeps
  // connections sends its next request only when it has the whole answer to the last one.
  [[nodiscard]] bool between_requests(bool waiting) const noexcept;

  // Sums over all workers that have had the seat.
  [[nodiscard]] std::uint64_t requests() const noexcept { return requests_; }
  [[nodiscard]] std::uint64_t exceptions() const noexcept { return exceptions_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t handle_us() const noexcept { return handle_us_; }

  // Before a new worker takes the seat.
  void clear() noexcept;

 private:
  template <std::size_t N>
  struct Text {
    std::uint16_t size;
    std::array<char, N> chars;
    void set(std::string_view text) noexcept;
    [[nodiscard]] std::string_view view() const noexcept;
  };

  // One writer, so this needs no locked instruction.
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t more) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

  mutable std::atomic<std::uint32_t> version_;  // odd while the texts are being written
  std::atomic<SlotState> state_;
  std::atomic<std::int64_t> since_ns_;
  std::atomic<pid_t> tid_;
  SharedFlag asleep_;
  std::atomic<std::uint64_t> requests_;
  std::atomic<std::uint64_t> exceptions_;
  std::atomic<std::uint64_t> bytes_;
  std::atomic<std::uint64_t> handle_us_;
  Text<128> id_;
  Text<24> method_;
  Text<256> path_;
  SharedFlag offered_;
  SharedFlag answered_;
  std::atomic<std::uint32_t> received_;
  // One byte more than a packet: what follows it shows in the same read.
  std::array<char, wire::kHeaderSize + wire::kMaxData + 1> packet_;
};

struct alignas(64) Seat {
  std::atomic<std::uint32_t> orders;             // bits, of dispatch/orders.h
  std::atomic<std::uint64_t> log_lines_dropped;  // by all workers that have had the seat
  std::atomic<std::uint32_t> reopened;       // the log-reopen round that the worker has carried out
  std::atomic<std::uint32_t> reopen_failed;  // the last round in which it could not
};

// What the master tells all workers without a message to each, and what the memory is: written by
// the one that makes it, and checked by each process that joins.
struct Board {
  std::uint32_t magic;
  std::int32_t seats;
  std::int32_t threads;
  std::atomic<int> retiring;  // the worker that is being replaced; 0: none
  SharedFlag leaving;         // no worker of this generation is to start any more
  SharedFlag stopping;        // the whole server ends: empty the listen queue before leaving
  std::atomic<std::uint32_t> reopen;             // rounds of log reopening asked for so far
  std::atomic<std::uint64_t> log_lines_dropped;  // by the templates
};

class Slots {
 public:
  // In the master. Throws std::system_error.
  Slots(int seats, int threads);
  // In a process that was exec'ed. Throws std::system_error, or std::runtime_error when the memory
  // is something else.
  Slots(int memfd, int seats, int threads);

  [[nodiscard]] Board& board() const { return *reinterpret_cast<Board*>(memory_.base()); }
  // Workers count from 1, threads from 0.
  [[nodiscard]] Seat& seat(int worker) const;
  [[nodiscard]] Slot& slot(int worker, int thread) const;
  // The slot's. In the master, whose loop must not wait again and again for one that nobody goes on
  // writing.
  [[nodiscard]] SlotRequest snapshot(int worker, int thread) const;
  // In the master: writes again what the workers only read, and could have written over; and lets
  // nobody wait for the successor of a worker that there can not be.
  void restore_board(bool leaving, bool stopping, std::uint32_t reopen) const;
  [[nodiscard]] int seats() const { return seats_; }
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] int memfd() const { return memory_.memfd(); }
  void release() { memory_.release(); }

 private:
  // Where in the memory a worker's things are; the one place that counts from 0.
  [[nodiscard]] std::size_t place_of(int worker) const;

  int seats_;
  int threads_;
  SharedMemory memory_;
  mutable std::vector<std::uint32_t> stuck_;  // in the master, by slot: the odd version that stays
};

}  // namespace forktail::server
