#include "server/shared/slots.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "id/validate.h"
#include "wire/request_head.h"

namespace forktail::server {

namespace {

constexpr std::uint32_t kMagic = 0x666b736c;  // "fksl"
constexpr std::size_t kBoardSize = 64;
constexpr std::size_t kSlotStride = (sizeof(Slot) + 63) / 64 * 64;  // no two threads share a line
static_assert(sizeof(Board) <= kBoardSize);
static_assert(std::atomic<SlotState>::is_always_lock_free &&
              std::atomic<std::uint64_t>::is_always_lock_free);

std::size_t slot_bytes(int seats, int threads) {
  const auto count = static_cast<std::size_t>(seats);
  return kBoardSize + count * (sizeof(Seat) + static_cast<std::size_t>(threads) * kSlotStride);
}

}  // namespace

std::string_view to_string(SlotState state) {
  switch (state) {
    case SlotState::idle:
      return "idle";
    case SlotState::reading:
      return "reading";
    case SlotState::handling:
      return "handling";
    case SlotState::writing:
      return "writing";
  }
  return "unknown";
}

template <std::size_t N>
void Slot::Text<N>::set(std::string_view text) noexcept {
  size = static_cast<std::uint16_t>(std::min(text.size(), N));
  std::copy_n(text.begin(), size, chars.begin());
}

template <std::size_t N>
std::string_view Slot::Text<N>::view() const noexcept {
  return {chars.data(), std::min<std::size_t>(size, N)};
}

// Odd from here on, also when somebody has written over it.
void Slot::begin_reading(std::int64_t now_ns) noexcept {
  version_.fetch_or(1, std::memory_order_acq_rel);
  id_.size = 0;
  method_.size = 0;
  path_.size = 0;
  std::fill_n(packet_.begin(), wire::kHeaderSize, '\0');
  received_.store(0, std::memory_order_relaxed);
  since_ns_.store(now_ns, std::memory_order_relaxed);
  state_.store(SlotState::reading, std::memory_order_relaxed);
  version_.fetch_add(1, std::memory_order_release);
}

void Slot::name_request(std::string_view id, std::string_view method,
                        std::string_view path) noexcept {
  version_.fetch_or(1, std::memory_order_acq_rel);
  id_.set(id);
  method_.set(method);
  path_.set(path);
  version_.fetch_add(1, std::memory_order_release);
}

void Slot::begin_writing(bool offered) noexcept {
  offered_.store(offered, std::memory_order_relaxed);
  answered_.store(false, std::memory_order_relaxed);
  state_.store(SlotState::writing, std::memory_order_release);
}

void Slot::finish(bool served) noexcept {
  if (served) {
    add(requests_, 1);
  }
  state_.store(SlotState::idle, std::memory_order_release);
}

SlotRequest Slot::snapshot(bool patient) const {
  SlotRequest request;
  // A writer needs nanoseconds, or, when it is interrupted, its next time slice. One that died in
  // between leaves the count odd for good, hence the limit.
  for (int attempt = 0; attempt < (patient ? 300 : 1); ++attempt) {
    if (attempt > 100) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    const std::uint32_t before = version_.load(std::memory_order_acquire);
    request.state = state_.load(std::memory_order_relaxed);
    request.since_ns = since_ns_.load(std::memory_order_relaxed);
    request.id = id_.view();
    request.method = method_.view();
    request.path = path_.view();
    // Adds nothing, but no read above can come after it (ThreadSanitizer knows no fences).
    if (before % 2 == 0 && before == version_.fetch_add(0, std::memory_order_acq_rel)) {
      break;
    }
  }
  return request;
}

SlotRequest Slot::last_request() const {
  SlotRequest request = snapshot();
  if (request.state != SlotState::reading || !request.method.empty()) {
    return request;
  }
  const std::string_view packet(packet_.data(), packet_.size());
  const wire::PacketHeader header =
      wire::read_header(std::span(packet_).first<wire::kHeaderSize>());
  const std::size_t size = wire::kHeaderSize + header.datasize;
  // Nothing noted: it was killed as the first read returned, and nearly all packets come in one.
  const std::uint32_t received = received_;
  wire::RequestHead head;
  if (header.modifier1 == wire::kModifierRequest && (received == 0 || received >= size) &&
      wire::read_head(packet.substr(wire::kHeaderSize, header.datasize), head).empty()) {
    request.method = head.method;
    request.path = head.path;
    request.id = id::valid(head.request_id) ? head.request_id : "";
  }
  return request;
}

bool Slot::between_requests(bool waiting) const noexcept {
  switch (state_) {
    case SlotState::idle:
      return true;
    case SlotState::reading:  // no packet begins with four zeros
      return received_ == 0 && std::all_of(packet_.begin(), packet_.begin() + wire::kHeaderSize,
                                           [](char c) { return c == '\0'; });
    case SlotState::handling:
      return false;
    case SlotState::writing:
      return offered_ && (answered_ || waiting);
  }
  return false;
}

void Slot::clear() noexcept {
  asleep_ = false;
  state_.store(SlotState::idle, std::memory_order_relaxed);
  version_.store(0, std::memory_order_release);
}

Slots::Slots(int seats, int threads)
    : seats_(seats), threads_(threads), memory_("the workers' slots", slot_bytes(seats, threads)) {
  restore_board(false, false, 0);
  stuck_.resize(static_cast<std::size_t>(seats) * static_cast<std::size_t>(threads));
}

Slots::Slots(int memfd, int seats, int threads)
    : seats_(seats),
      threads_(threads),
      memory_("the workers' slots", slot_bytes(seats, threads), Descriptor(memfd)) {
  if (board().magic != kMagic || board().seats != seats || board().threads != threads) {
    throw std::runtime_error(
        "the memory that was inherited as the workers' slots is something else; the master and its "
        "workers must be of one build");
  }
}

void Slots::restore_board(bool leaving, bool stopping, std::uint32_t reopen) const {
  // A store would take the cache line from all who read it for each request.
  const auto set = [](auto& place, auto value) {
    if (place != value) {
      place = value;
    }
  };
  set(board().magic, kMagic);
  set(board().seats, seats_);
  set(board().threads, threads_);
  set(board().leaving, leaving);
  set(board().stopping, stopping);
  set(board().reopen, reopen);
  if (const int worker = board().retiring; worker < 0 || worker > seats_) {
    board().retiring = 0;
  }
}

SlotRequest Slots::snapshot(int worker, int thread) const {
  const Slot& one = slot(worker, thread);
  std::uint32_t& stuck = stuck_[place_of(worker) * static_cast<std::size_t>(threads_) +
                                static_cast<std::size_t>(thread)];
  const std::uint32_t version = one.version();
  SlotRequest request = one.snapshot(version % 2 == 0 || version != stuck);
  stuck = one.version();
  return request;
}

std::size_t Slots::place_of(int worker) const {
  assert(worker >= 1 && worker <= seats_);
  return static_cast<std::size_t>(worker) - 1;
}

Seat& Slots::seat(int worker) const {
  return reinterpret_cast<Seat*>(memory_.base() + kBoardSize)[place_of(worker)];
}

Slot& Slots::slot(int worker, int thread) const {
  assert(thread >= 0 && thread < threads_);
  const auto threads = static_cast<std::size_t>(threads_);
  const std::size_t place = place_of(worker) * threads + static_cast<std::size_t>(thread);
  std::byte* slots = memory_.base() + kBoardSize + static_cast<std::size_t>(seats_) * sizeof(Seat);
  return *reinterpret_cast<Slot*>(slots + place * kSlotStride);
}

}  // namespace forktail::server
