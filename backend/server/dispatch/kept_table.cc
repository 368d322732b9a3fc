#include "server/dispatch/kept_table.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace forktail::server {

namespace {

constexpr std::uint32_t kTableMagic = 0x666b6b74;  // "fkkt"
constexpr std::uint32_t kSlotMagic = 0x666b6b73;   // "fkks"

}  // namespace

std::size_t KeptTable::size_for(int capacity, int seats) {
  return sizeof(Board) + (sizeof(Slot) + sizeof(PeerText)) * static_cast<std::size_t>(capacity) +
         sizeof(SharedFlag) * static_cast<std::size_t>(seats + 1);
}

KeptTable::KeptTable(KeptNumbers numbers, int seats)
    : numbers_(numbers),
      seats_(seats),
      memory_("kept connections", size_for(numbers.count, seats)) {
  restore_board();
}

KeptTable::KeptTable(int memfd, KeptNumbers numbers, int seats)
    : numbers_(numbers),
      seats_(seats),
      memory_("kept connections", size_for(numbers.count, seats), Descriptor(memfd)) {
  if (board().magic != kTableMagic || board().capacity != capacity() || board().seats != seats_) {
    throw std::runtime_error(
        "the memory that was inherited as the kept connections is something else; the master and "
        "its workers must be of one build");
  }
}

void KeptTable::restore_board() {
  board().magic = kTableMagic;
  board().capacity = capacity();
  board().seats = seats_;
}

std::optional<KeptId> KeptTable::allocate(std::uint32_t owner) {
  for (std::uint32_t slot = 0; slot < static_cast<std::uint32_t>(capacity()); ++slot) {
    std::uint64_t state = at(slot).state.load(std::memory_order_relaxed);
    const std::uint32_t version = (version_of(state) + 1) | 1;
    if (holder_of(state) == kFree &&
        at(slot).state.compare_exchange_strong(state, state_of(version, owner))) {
      at(slot).given_back = false;
      at(slot).fresh = true;
      at(slot).tls = false;
      at(slot).magic.store(kSlotMagic, std::memory_order_relaxed);
      return KeptId{slot, version};
    }
  }
  return std::nullopt;
}

bool KeptTable::claim(KeptId id, std::uint32_t owner) {
  std::uint64_t expected = state_of(id.version, kIdle);
  return at(id.slot).state.compare_exchange_strong(expected, state_of(id.version, owner));
}

void KeptTable::release(KeptId id, std::int64_t deadline_ns, bool fresh) {
  at(id.slot).deadline_ns = deadline_ns;
  at(id.slot).fresh = fresh;
  at(id.slot).state = state_of(id.version, kIdle);
}

// A version in use is odd, a free slot's is even, whatever a worker has written there: none is ever
// 0, which stands for no connection.
void KeptTable::free(KeptId id) {
  at(id.slot).state = state_of((id.version | 1) + 1, kFree);
  board().closed.fetch_add(1, std::memory_order_relaxed);
}

void KeptTable::set_peer(KeptId id, const TlsPeer& peer) {
  PeerText& text = peer_text(id.slot);
  text.last = peer.last;
  const std::size_t size = std::min(peer.subject.size(), text.subject.size());
  text.size = static_cast<std::uint16_t>(size);
  std::copy_n(peer.subject.begin(), size, text.subject.begin());
  at(id.slot).tls = true;
}

// Other processes can write there: the size is taken as a stranger's.
TlsPeer KeptTable::peer(KeptId id) const {
  if (!at(id.slot).tls) {
    return {};
  }
  const PeerText& text = peer_text(id.slot);
  const std::size_t size = std::min<std::size_t>(text.size, text.subject.size());
  return {text.last, std::string(text.subject.data(), size)};
}

bool KeptTable::sound(KeptId id) const {
  return id.slot < static_cast<std::uint32_t>(capacity()) && id.version % 2 == 1 &&
         at(id.slot).magic.load(std::memory_order_relaxed) == kSlotMagic;
}

void KeptTable::set_peers_keep(bool keep) {
  if (peers_keep() != keep) {  // a store would take the cache line from all the others
    board().peers_keep.store(keep, std::memory_order_relaxed);
  }
}

}  // namespace forktail::server
