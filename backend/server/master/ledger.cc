#include "server/master/ledger.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

namespace forktail::server {

namespace {

constexpr const char* kLedger = "the counters";

constexpr std::array kMembers{
    &Counters::requests,       &Counters::exceptions,   &Counters::bytes,
    &Counters::handle_us,      &Counters::respawns,     &Counters::harakiris,
    &Counters::crashes,        &Counters::lost,         &Counters::log_lines_dropped,
    &Counters::tls_handshakes, &Counters::tls_failures, &Counters::tls_respawns,
};
static_assert(sizeof(Counters) == kMembers.size() * sizeof(std::uint64_t));

using Page = std::array<std::atomic<std::uint64_t>, kMembers.size()>;

Page& page(const SharedMemory& memory) { return *reinterpret_cast<Page*>(memory.base()); }

}  // namespace

Ledger::Ledger() : memory_(kLedger, sizeof(Page)) {}

Ledger::Ledger(Descriptor memfd) : memory_(kLedger, sizeof(Page), std::move(memfd)) {}

void Ledger::write(const Counters& counters) {
  for (std::size_t i = 0; i < kMembers.size(); ++i) {
    page(memory_)[i].store(counters.*kMembers[i], std::memory_order_relaxed);
  }
}

Counters Ledger::read() const {
  Counters counters;
  for (std::size_t i = 0; i < kMembers.size(); ++i) {
    counters.*kMembers[i] = page(memory_)[i].load(std::memory_order_relaxed);
  }
  return counters;
}

}  // namespace forktail::server
