#include "server/master/ledger.h"

#include <array>
#include <cstdint>
#include <utility>

#include "server/shared/shared_numbers.h"

namespace forktail::server {

namespace {

constexpr const char* kLedger = "the counters";

// A new one stands at the end: the other master may be of another version.
constexpr std::array kMembers{
    &Counters::requests,       &Counters::exceptions,   &Counters::bytes,
    &Counters::handle_us,      &Counters::respawns,     &Counters::harakiris,
    &Counters::crashes,        &Counters::lost,         &Counters::log_lines_dropped,
    &Counters::tls_handshakes, &Counters::tls_failures, &Counters::tls_respawns,
};
static_assert(sizeof(Counters) == kMembers.size() * sizeof(std::uint64_t));

}  // namespace

Ledger::Ledger() : memory_(kLedger, sizeof(Counters)) {}

Ledger::Ledger(Descriptor memfd) : memory_(kLedger, sizeof(Counters), std::move(memfd)) {}

void Ledger::write(const Counters& counters) {
  write_numbers<Counters>(memory_.base(), kMembers, counters);
}

Counters Ledger::read() const { return read_numbers<Counters>(memory_.base(), kMembers); }

}  // namespace forktail::server
