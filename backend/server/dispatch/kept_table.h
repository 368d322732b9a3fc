// The connections that a generation keeps open between requests: who may touch which, in shared
// memory.
//
// A connection that is kept has a slot here and, in every process that knows it, the descriptor
// number `base + slot`: epoll knows a descriptor by its open file *and its number*, so only the
// same number lets any process arm it again. A slot that is used again gets a new version, by which
// stale events and stale duplicates are told from current ones. All functions may be called by any
// thread of any process of the generation; none waits.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "forktail/api.h"
#include "server/dispatch/kept_numbers.h"
#include "server/dispatch/tls_queue.h"
#include "server/os/shared_flag.h"
#include "server/os/shared_memory.h"

namespace forktail::server {

// Which slot, and which of the connections that it has held.
struct KeptId {
  std::uint32_t slot;
  std::uint32_t version;
};

class KeptTable {
 public:
  // In the master. `seats` is how many workers there can be. Throws std::system_error.
  KeptTable(KeptNumbers numbers, int seats);
  // In a process that was exec'ed.
  KeptTable(int memfd, KeptNumbers numbers, int seats);

  [[nodiscard]] const KeptNumbers& numbers() const FORKTAIL_LIFETIMEBOUND { return numbers_; }
  [[nodiscard]] int capacity() const { return numbers_.count; }
  [[nodiscard]] int seats() const { return seats_; }
  [[nodiscard]] int memfd() const { return memory_.memfd(); }
  void release() { memory_.release(); }
  [[nodiscard]] int descriptor(std::uint32_t slot) const {
    return numbers_.base + static_cast<int>(slot);
  }

  // Who holds a slot: nobody; the ready list, from which whoever gets its event may claim it; or
  // one thread, the `owner`, a number from kFirstOwner on.
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kIdle = 1;
  static constexpr std::uint32_t kFirstOwner = 2;
  [[nodiscard]] std::uint32_t holder(std::uint32_t slot) const { return holder_of(at(slot).state); }
  [[nodiscard]] KeptId current(std::uint32_t slot) const {
    return {slot, version_of(at(slot).state)};
  }
  [[nodiscard]] bool is_current(KeptId id) const { return current(id.slot).version == id.version; }

  // free -> owned; nothing when all are taken.
  std::optional<KeptId> allocate(std::uint32_t owner);
  // idle -> owned; false when it is not idle, or is another connection by now.
  bool claim(KeptId id, std::uint32_t owner);
  // owned -> idle, until `deadline_ns` (CLOCK_MONOTONIC). `fresh`: no request of it has been read
  // yet.
  void release(KeptId id, std::int64_t deadline_ns, bool fresh);
  // owned -> free.
  void free(KeptId id);

  // It is one that an owner has made: what must hold of each that is claimed or given back.
  [[nodiscard]] bool sound(KeptId id) const;
  // In the master: writes again what the memory is, for a worker that is about to join.
  void restore_board();

  [[nodiscard]] std::int64_t deadline_ns(std::uint32_t slot) const { return at(slot).deadline_ns; }
  [[nodiscard]] bool fresh(std::uint32_t slot) const { return at(slot).fresh; }
  void mark_read(KeptId id) { at(id.slot).fresh = false; }
  // Remembers that the peer was asked to close it; true the first time.
  bool mark_given_back(KeptId id) { return !at(id.slot).given_back.exchange(true); }

  // What is known of the peer of a connection that has come over TLS, for whoever owns it. Only its
  // owner may set it, before it gives it to others.
  void set_peer(KeptId id, const TlsPeer& peer);
  [[nodiscard]] TlsPeer peer(KeptId id) const;

  // Whether the peer of the last request that was read keeps connections.
  [[nodiscard]] bool peers_keep() const {
    return board().peers_keep.load(std::memory_order_relaxed);
  }
  void set_peers_keep(bool keep);

  // How many connections have been closed so far, modulo 2^32.
  [[nodiscard]] std::uint32_t closed() const {
    return board().closed.load(std::memory_order_relaxed);
  }

  // Which seats (from 1) have a worker, or one about to start, that reads its mailbox.
  [[nodiscard]] bool occupied(int seat) const { return seat_flag(seat); }
  void set_occupied(int seat, bool occupied) { seat_flag(seat) = occupied; }

 private:
  struct Slot {
    // Version and holder in one, so that who is late can not take what has changed hands.
    std::atomic<std::uint64_t> state;
    std::atomic<std::int64_t> deadline_ns;
    SharedFlag fresh;
    SharedFlag given_back;
    SharedFlag tls;                    // there is a PeerText of it
    std::atomic<std::uint32_t> magic;  // since the slot was taken the first time
  };
  struct PeerText {
    SharedFlag last;
    std::uint16_t size;
    std::array<char, TlsPeer::kMostSubject> subject;
  };
  // What the memory is, written by the one that makes it and checked by each process that joins;
  // and what changes seldom.
  struct alignas(64) Board {
    std::uint32_t magic;
    std::int32_t capacity;
    std::int32_t seats;
    SharedFlag peers_keep;
    std::atomic<std::uint32_t> closed;
  };

  [[nodiscard]] static std::uint64_t state_of(std::uint32_t version, std::uint32_t holder) {
    // 64 bits wide, whatever the analyzer believes on the way through the atomic.
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
    return std::uint64_t{version} << 32 | holder;
  }
  [[nodiscard]] static std::uint32_t version_of(std::uint64_t state) {
    return static_cast<std::uint32_t>(state >> 32);
  }
  [[nodiscard]] static std::uint32_t holder_of(std::uint64_t state) {
    return static_cast<std::uint32_t>(state);
  }

  [[nodiscard]] static std::size_t size_for(int capacity, int seats);
  [[nodiscard]] Board& board() const { return *reinterpret_cast<Board*>(memory_.base()); }
  [[nodiscard]] Slot& at(std::uint32_t slot) const {
    return reinterpret_cast<Slot*>(memory_.base() + sizeof(Board))[slot];
  }
  [[nodiscard]] PeerText& peer_text(std::uint32_t slot) const {
    return reinterpret_cast<PeerText*>(&at(static_cast<std::uint32_t>(capacity())))[slot];
  }
  [[nodiscard]] SharedFlag& seat_flag(int seat) const {
    return reinterpret_cast<SharedFlag*>(&peer_text(static_cast<std::uint32_t>(capacity())))[seat];
  }

  KeptNumbers numbers_;
  int seats_;
  SharedMemory memory_;
};

}  // namespace forktail::server
